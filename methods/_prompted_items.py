"""Support items written out after a prompt of instruction and demonstrations."""

from collections.abc import Sequence

from methods._demonstrations import Demonstrations
from methods._prompt_evolution import Prompt


class PromptedItems(Demonstrations):
    """The support items of one episode, each as a text after a prompt that does not show the item itself."""

    def opening(self, prompt: Prompt) -> str:
        """A prompt's instruction and the separator; empty without an instruction.

        Args:
            prompt: The prompt.

        Returns:
            The text.
        """
        return prompt.instruction + self.shape.separator if prompt.instruction else ""

    def text(self, prompt: Prompt, item: int) -> str:
        """An item after a prompt; the oldest demonstrations are dropped where all do not fit.

        Args:
            prompt: The prompt.
            item: Number of the item in the support set.

        Returns:
            The text up to where the answer begins.
        """
        opening, own = self.opening(prompt), self.prompts[item]
        shown = [each for each in prompt.demonstrations if each != item]
        context = ""
        if shown:
            context, _ = self.context(shown, [opening + own], self.longest_answer(self.names))
        return self.shape.protocol.instructed(opening + context) + own

    def rendered(self, prompts: Sequence[Prompt], items: Sequence[int]) -> list[str]:
        """All items after each of several prompts.

        Args:
            prompts: The prompts.
            items: Numbers of the items.

        Returns:
            Texts, those of the first prompt first.
        """
        return [self.text(prompt, item) for prompt in prompts for item in items]

    def fits(self, prompt: Prompt, items: Sequence[int]) -> bool:
        """Whether an instruction leaves room for each of some items with its answer.

        Args:
            prompt: The prompt.
            items: Numbers of the items.

        Returns:
            Whether it does.
        """
        if not prompt.instruction:
            return True
        opening = self.shape.protocol.instructed(self.opening(prompt))
        longest = max(self.backbone.count_tokens([opening + self.prompts[item] for item in items]))
        return longest + self.longest_answer(self.names) <= self.backbone.context_length

    def prompt_bytes(self, prompt: Prompt) -> int:
        """Bytes of a prompt as UTF-8 text.

        Args:
            prompt: The prompt.

        Returns:
            The number.
        """
        return len(self.opening(prompt).encode()) + sum(self.size(item) for item in prompt.demonstrations)

    def prompt_tokens(self, prompt: Prompt) -> int:
        """Tokens of a prompt.

        Args:
            prompt: The prompt.

        Returns:
            The number.
        """
        opening = self.opening(prompt)
        shown = sum(self.tokens[item] for item in prompt.demonstrations)
        return shown + (self.backbone.count_tokens([opening])[0] if opening else 0)
