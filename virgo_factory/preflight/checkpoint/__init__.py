"""Whether a trained model is whole, from its files and by running a few of its layers."""
