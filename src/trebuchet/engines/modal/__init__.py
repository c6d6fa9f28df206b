"""Modal, and whatever speaks its protocol, through the official SDK.

`engine` is light; everything else here imports `modal`, and is imported when the first call is made.
"""

from trebuchet.engines.modal.engine import ModalEngine, SdkEngine

__all__ = ["ModalEngine", "SdkEngine"]
