"""What is agreed about folders at SSH servers: where files are fetched from (a section of an interface), and where they
are put (a section of a posting file). Part of `config`."""

from __future__ import annotations

from pydantic import Field, model_validator

from .config_section import Section


class SftpAccount(Section):
    """A folder at somebody else's SSH server, and who we are there."""

    host: str = Field(description="the SSH server")
    port: int = Field(default=22, ge=1, le=65535, description="its port")
    user: str = Field(description="whom we log in as")
    password: str = Field(default="", description="a password; use env:NAME")
    key: str = Field(default="", description="our private key: a file, or its text by env:NAME")
    key_passphrase: str = Field(default="", description="what our private key is encrypted with; use env:NAME")
    host_keys: tuple[str, ...] = Field(
        min_length=1,
        description="the server's public keys, such as 'ssh-ed25519 AAAA…', as its owner told you: no other is trusted",
    )
    folder: str = Field(default=".", description="where the files are; from the root, or from the user's own folder")
    timeout_s: float = Field(default=20, gt=0, description="longest wait for the server, at each step")
    private_network: bool = Field(default=False, description="the address may be a private or loopback one")

    @model_validator(mode="after")
    def _let_in(self) -> SftpAccount:
        if not self.password and not self.key:
            raise ValueError("write a password, or a key, by which we log in")
        return self


class Sftp(SftpAccount):
    """Which of its files are taken, and when, is as for a folder of ours."""

    done: str = Field(default="done", description="where they go once they are taken in, from `folder` on")
    failed: str = Field(default="failed", description="where those go that hold no message, from `folder` on")
    out: str = Field(default="", description="where replies go, from `folder` on; empty: beside the file")
    every_s: float = Field(default=60, gt=0, description="how often we look")

    @model_validator(mode="after")
    def _checked(self) -> Sftp:
        for name in (self.done, self.failed):
            if name.strip("/.") == "" or name == self.folder:
                raise ValueError("done and failed are folders of their own: a file that stayed would be taken again")
        return self
