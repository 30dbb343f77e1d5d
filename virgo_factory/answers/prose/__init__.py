"""How prose tells its answer: its statements, what a question asks for, where a response ends its thought."""
