"""Virtual tokens before everything that a decoder reads: as input embeddings, or as keys and values of each block."""

import inspect
from typing import Annotated, Any, cast

import torch
from peft import PeftModelForCausalLM, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from pydantic import Field
from torch import Tensor, nn
from transformers import DynamicCache

from bench.contracts import LanguageBackbone, Tune, UsageError
from methods._peft_lm import PeftMethod
from methods._training_lm import TrainingConfig


class VirtualConfig(TrainingConfig):
    """What prompt tuning and prefix tuning share."""

    virtual_tokens: Annotated[int, Tune(1, 100, log=True)] = Field(
        default=20, ge=1, le=4096, description="Number of virtual tokens."
    )


class VirtualTokens(nn.Module):
    """Has a decoder read virtual tokens first, by hooks.

    peft's own wrapper does so around the whole model, where scoring by hidden states and caches shared by prompts
    cannot reach it, and it expects a prompt at each call. Here a sequence that begins (there is no cache, or an empty
    one) gets the virtual tokens, one that goes on has them in its cache, and masks and positions count them in both.
    Hidden states are given back for the real tokens alone.
    """

    def __init__(self, tuned: PeftModelForCausalLM) -> None:
        super().__init__()
        # Not peft's wrapper itself: with the network in reach of its own hook, a copy would outlive its method.
        self.encoder = tuned.prompt_encoder[tuned.active_adapter]
        filled: Any = tuned.active_peft_config
        self.count = int(filled.num_virtual_tokens)
        self.as_embeddings = isinstance(filled, PromptTuningConfig)
        self._layout = (self.count, filled.num_layers, 2, filled.num_attention_heads, -1)
        self._real, self._own_cache = 0, False

    @torch.no_grad()
    def start_from(self, cache: Any) -> None:
        """Take the keys and values in a cache of one text, of as many tokens, as those to learn from."""
        blocks = torch.stack([torch.stack([layer.keys[0], layer.values[0]]) for layer in cache.layers])
        cast(Any, self.encoder).embedding.weight.copy_(blocks.permute(3, 0, 1, 2, 4).flatten(1))

    def attach(self, decoder: nn.Module) -> None:
        """Stand before a decoder, transformers' model without its output embedding, from now on."""
        decoder.register_forward_pre_hook(self._before, with_kwargs=True)
        decoder.register_forward_hook(self._after)

    def _before(self, decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[()], dict[str, Any]]:
        given = {**inspect.signature(decoder.forward).bind_partial(*args).arguments, **kwargs}
        read = given["input_ids"]
        batch, self._real = read.shape
        cache, mask, positions = (given.get(name) for name in ("past_key_values", "attention_mask", "position_ids"))
        begins = cache is None or cache.get_seq_length() == 0
        self._own_cache = cache is None and given.get("use_cache") is False
        if mask is not None:
            given["attention_mask"] = torch.cat([mask.new_ones(batch, self.count), mask], dim=1)
        if positions is not None:
            given["position_ids"] = positions + self.count
        if begins and self.as_embeddings:
            del given["input_ids"]
            given["inputs_embeds"] = self._prompt(decoder.get_input_embeddings()(read))
            if positions is not None:
                first = torch.arange(self.count, device=positions.device).expand(len(positions), -1)
                given["position_ids"] = torch.cat([first, given["position_ids"]], dim=1)
        elif begins:
            given["past_key_values"] = DynamicCache(config=decoder.config) if cache is None else cache
            self._fill(given["past_key_values"], batch, decoder.dtype)
        return (), given

    def _after(self, decoder: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, -self._real :]
        if self._own_cache:
            # The caller keeps none; given this one, it would take the next sequence for one that goes on.
            output.past_key_values = None
        return output

    def _encoded(self) -> Tensor:
        """``[token, width]``, what is learnt."""
        indices = torch.arange(self.count, device=next(self.encoder.parameters()).device)
        return cast(Tensor, self.encoder(indices))

    def _prompt(self, embedded: Tensor) -> Tensor:
        return torch.cat([self._encoded().to(embedded).expand(len(embedded), -1, -1), embedded], dim=1)

    def _fill(self, cache: Any, batch: int, dtype: torch.dtype) -> None:
        """Put the virtual tokens' keys and values, ``[text, head, token, dim]`` of each block, into an empty cache."""
        blocks = self._encoded().to(dtype).view(self._layout).permute(1, 2, 3, 0, 4)
        for number, pair in enumerate(blocks):
            keys, values = (each.expand(batch, -1, -1, -1) for each in pair)
            cache.update(keys, values, number)


class SoftPromptMethod(PeftMethod):
    """A method whose adapters are virtual tokens; they take room from what the model can read."""

    sized_by = "virtual_tokens"
    config: VirtualConfig

    def put_before(self, adapted: LanguageBackbone, config: PromptTuningConfig | PrefixTuningConfig) -> None:
        """Have the copy read virtual tokens first. Raises UsageError if they leave no room for a text."""
        room = adapted.context_length - config.num_virtual_tokens
        if room < 2:
            raise UsageError(
                f"{config.num_virtual_tokens} virtual tokens must leave room for 2 tokens or more, and the backbone "
                f"reads {adapted.context_length}; use fewer of them or a backbone that reads more"
            )
        network: Any = adapted.causal_lm
        # What peft would look up in the config, under the names of some families alone.
        word = torch.zeros(1, 1, dtype=torch.long, device=network.device)
        layers = network.base_model(input_ids=word, use_cache=True).past_key_values.layers
        _, heads, _, width = layers[0].keys.shape
        config.num_layers = len(layers)
        config.num_attention_heads = heads
        config.token_dim = heads * width if isinstance(config, PrefixTuningConfig) else adapted.width
        tokens = VirtualTokens(cast(PeftModelForCausalLM, get_peft_model(network, config)))
        if isinstance(config, PrefixTuningConfig):
            words = torch.randint(network.config.vocab_size, (1, tokens.count)).to(network.device)
            cache = network.base_model(input_ids=words, use_cache=True).past_key_values
            kept = min(layer.keys.shape[-2] for layer in cache.layers)
            if kept < tokens.count:
                raise UsageError(
                    f"{tokens.count} virtual tokens must fit the sliding window of {type(network).__name__}, which "
                    f"keeps {kept}; use at most {kept} of them, or prompt_tuning"
                )
            tokens.start_from(cache)
        tokens.attach(network.base_model)
        adapted.add_module("virtual_tokens", tokens)
        adapted.reserved += config.num_virtual_tokens
        self.notes["virtual_tokens"] = config.num_virtual_tokens
