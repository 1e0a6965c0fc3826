"""The text towers that open_clip builds, its own and those of transformers: their tokens and token states."""

import hashlib
import threading
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from torch import Tensor

from mstclipiqa.base.errors import InputError
from mstclipiqa.encoders.open_clip_loader import open_clip


class Tokenizer:
    """A model's own tokenizer. It is loaded when it is first used: images need none, and some come from a hub. Threads
    may share it."""

    def __init__(self, name: str, config: Mapping):
        self.name = name
        self.text_config = config["text_cfg"]
        self.context_length: int = self.text_config.get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
        self._lock = threading.Lock()  # transformers' keep in themselves how a call cuts and fills up

    @cached_property
    def own(self) -> Any:
        """open_clip's tokenizer of the model. Raises InputError where it cannot be had."""
        source = self.text_config.get("hf_tokenizer_name", "")
        try:
            return open_clip.get_tokenizer(self.name)
        except ImportError:
            raise InputError(
                f"encoder {self.name}: its tokenizer {source} needs transformers; pip install 'mstclipiqa[texts]'"
            ) from None
        except Exception as error:  # transformers has no narrower base class
            raise InputError(
                f"encoder {self.name}: its tokenizer {source} cannot be had ({' '.join(str(error).split())[:200]}); "
                "name an encoder as text_encoder whose tokenizer is at hand, or put the model with its tokenizer into "
                "a folder: local-dir:FOLDER"
            ) from None

    @property
    def is_clips(self) -> bool:
        """Whether it is CLIP's own, whose end token has the highest number and is followed by padding."""
        return isinstance(self.own, open_clip.SimpleTokenizer)

    @property
    def digest(self) -> str | None:
        """SHA-256 of a tokenizer that does not come with open_clip, whose version would say it."""
        if self.is_clips:
            return None
        return hashlib.sha256(self.own.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()

    def __call__(self, texts: list[str]) -> Tensor:
        """The tokens (B, context) of texts, cut or filled up to the context."""
        with self._lock:
            return self.own(texts)

    def count(self, texts: list[str]) -> list[int]:
        """The tokens of each text, start and end included, however many."""
        with self._lock:
            if self.is_clips:
                return [len(self.own.encode(text)) + 2 for text in texts]
            return [len(ids) for ids in self.own.tokenizer([self.own.clean_fn(text) for text in texts])["input_ids"]]

    def lengths(self, texts: list[str], tokens: Tensor) -> list[int]:
        """How many of the tokens (B, context) are each text's, and not padding."""
        if self.is_clips:
            return (tokens.argmax(dim=-1) + 1).tolist()
        return [min(count, self.context_length) for count in self.count(texts)]

    def letters(self, texts: list[str]) -> list[list[str]]:
        """The tokens of each text, from start to end token, in letters."""
        tokens, decoder = self(texts), self.own if self.is_clips else self.own.tokenizer
        rows = [row[:length] for row, length in zip(tokens.tolist(), self.lengths(texts, tokens), strict=True)]
        return [[decoder.decode([token]).strip() for token in row] for row in rows]


def read_texts(model: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """The states (B, context, T) of tokens after the tower's last layer and norm, and the embeddings (B, D)."""
    tower = getattr(model, "text", None)
    if isinstance(tower, open_clip.hf_model.HFTextEncoder):
        mask = (tokens != tower.config.pad_token_id).long()  # these three lines are the tower's own forward
        states = tower.transformer(input_ids=tokens, attention_mask=mask)
        return states.last_hidden_state, tower.proj(tower.pooler(states, mask))
    found = model.forward_intermediates(text=tokens, text_indices=1, normalize_intermediates=True, normalize=False)
    return found["text_intermediates"][-1], found["text_features"]


def text_width(model: Any) -> int:
    """The width T of a text tower's token states."""
    tower = getattr(model, "text", model)
    if isinstance(tower, open_clip.hf_model.HFTextEncoder):
        return tower.config.hidden_size
    return tower.ln_final.normalized_shape[0]


def is_text_of_a_hub(config: Mapping) -> bool:
    """Whether an architecture's text tower or tokens are those of a hub."""
    return any(key.startswith("hf_") for key in config.get("text_cfg", {}))
