"""How chats and pictures are put to the model, in training and when it serves."""
