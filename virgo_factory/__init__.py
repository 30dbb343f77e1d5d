"""virgo-factory: long thoughts for LLaMA-Factory (Virgo, arXiv 2501.01904)."""

__version__ = "0.1.0"


def register() -> None:
    """Install the LLaMA-Factory hooks now, as importing torch does by itself (see virgo_factory.autoload)."""
    from virgo_factory.autoload import install

    install()
