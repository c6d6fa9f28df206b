"""What goes wrong between a reference and an image's files on disk.

ImageError
├── BadReferenceError           not the name of an image
├── ImageNotFoundError          the registry has none of that name
├── UnauthorizedError           the registry wants other credentials, or any
├── NoMatchingPlatformError     the image was made for other machines
├── UnusableImageError          what came is no image, or one that cannot be unpacked safely
├── DigestMismatchError         what came is not what was asked for
├── NoSpaceError                the disk is full
└── RegistryUnreachableError    the registry does not answer, or not sensibly
"""

from __future__ import annotations

from trebuchet.emulator.errors import EmulatorError


class ImageError(EmulatorError):
    """An image cannot be had.

    Attributes:
        transient: Whether the same call may succeed later, with nothing changed.
    """

    def __init__(self, message: str, hint: str = "", *, transient: bool = False) -> None:
        super().__init__(message, hint)
        self.transient = transient


class BadReferenceError(ImageError):
    """Not the name of an image."""


class ImageNotFoundError(ImageError):
    """The registry has no such image, or says so to those who may not see it."""


class UnauthorizedError(ImageError):
    """The registry wants other credentials, or any."""


class NoMatchingPlatformError(ImageError):
    """The image was made for other machines."""


class UnusableImageError(ImageError):
    """What came is no image, or one that cannot be unpacked safely."""


class DigestMismatchError(ImageError):
    """What came is not what was asked for."""


class NoSpaceError(ImageError):
    """The disk is full."""


class RegistryUnreachableError(ImageError):
    """The registry does not answer, or not sensibly."""
