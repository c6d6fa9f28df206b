"""Images that the engines of one process were asked for, by the ids that all of them give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trebuchet.emulator.world.errors import NotFoundError

if TYPE_CHECKING:
    from trebuchet.emulator.world.images import Image


class Recipes:
    """What one engine was told of an image, for the others that the same program asks for it by its id.

    An object of the SDK's that stands for an image keeps the id it first got, and tells the next server
    nothing else.
    """

    def __init__(self) -> None:
        """None are known."""
        self._known: dict[str, Image] = {}

    def note(self, image: Image) -> None:
        """Remember how an image is made."""
        self._known[image.id] = image

    def forget(self, image_id: str) -> None:
        """It was deleted."""
        self._known.pop(image_id, None)

    def find(self, image_id: str) -> Image | None:
        """How an image is made that another engine knew; None where none did.

        Raises:
            NotFoundError: It is made of files or secrets, which that engine alone had.
        """
        image = self._known.get(image_id)
        if image is None:
            return None
        if image.context_mount_id or image.context_files or image.secret_ids or image.registry_secret_id:
            raise NotFoundError(
                f"Image {image_id!r} is made of files or secrets that another server was given, which tests "
                "had before this one: let each make its own `modal.Image`."
            )
        return image
