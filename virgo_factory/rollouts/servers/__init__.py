"""Model servers of an OpenAI-compatible API: asked, several at once, and started."""
