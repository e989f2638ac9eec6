"""How shoppers are named in what Headwater keeps."""

from pydantic import Field, SecretStr, model_validator

from events.pseudonyms import MIN_KEY_BYTES, Pseudonyms
from streams.settings_base import Group


class PrivacySettings(Group):
    """Whether Redis, slates, snapshots and logs name shoppers by a keyed hash. See docs/security.md first."""

    pseudonymise: bool = Field(
        default=False, description="keyed hashes in place of user and session ids; needs secret_key"
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description=f"of the hashes, {MIN_KEY_BYTES} bytes or more, the same for every worker; keep it in env, and "
        "keep it: another key makes every shopper a stranger",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "PrivacySettings":
        key = b"" if self.secret_key is None else self.secret_key.get_secret_value().encode()
        if self.secret_key is not None and len(key) < MIN_KEY_BYTES:
            raise ValueError(f"secret_key has {len(key)} bytes; it must have at least {MIN_KEY_BYTES}")
        if self.pseudonymise and self.secret_key is None:
            raise ValueError("pseudonymise needs secret_key (`openssl rand -hex 32` makes one)")
        return self

    def pseudonyms(self) -> Pseudonyms | None:
        """What renames shoppers; None where they keep their ids."""
        if not self.pseudonymise or self.secret_key is None:
            return None
        return Pseudonyms(self.secret_key.get_secret_value().encode())
