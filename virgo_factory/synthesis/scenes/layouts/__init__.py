"""One file a layout of pictures with captions and boxes: what stands in its files, as `found.FoundScene`."""
