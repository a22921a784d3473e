"""What a trainer does with moving averages of its parameters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from weft_core.store import ParameterStore

from .averages import MovingAverage
from .errors import TrainerError


class Averaging(ABC):
    """Keeps moving averages of the weights, and lets them stand in for the weights in an evaluation."""

    average: MovingAverage | None = None

    @abstractmethod
    def whoami(self) -> str:
        """Name of the class."""

    @abstractmethod
    def _present_store(self) -> ParameterStore:
        """The parameters to average, all that there are by now."""

    def exponential_moving_average(self, beta: float, update_freq: int = 1) -> None:
        """From now on keep an average of the weights, `a = beta a + (1 - beta) w`, from zero.

        It is taken after the next update and then after every `update_freq`-th. A parameter that is added later joins
        at the next one, with a count of its own. Averages that were kept so far are forgotten. Raises ValueError
        unless 0 <= beta < 1 and `update_freq` >= 1, `TrainerError` while averages stand in for saved weights.
        """
        self._begin(MovingAverage("exponential", beta, update_freq))

    def cumulative_moving_average(self, update_freq: int = 1) -> None:
        """From now on keep the mean of the weights, `a = (n a + w) / (n + 1)`; otherwise as an exponential one."""
        self._begin(MovingAverage("cumulative", every=update_freq))

    def _begin(self, average: MovingAverage) -> None:
        if self.average is not None and self.average.saved:
            raise TrainerError(f"{self.whoami()}: moving averages stand in for the weights; {self.average.way_back()}")
        self.average = average

    def swap_params_to_moving_average(self, save_weights: bool = True, bias_correction: bool = False) -> None:
        """Put the averages in the place of the weights, which are kept aside unless `save_weights` is False.

        `bias_correction`: an exponential average of n weights is divided by `1 - beta**n`, so that the zero it began
        with has no share. A parameter without an average stays as it is. Does nothing when the averages are there
        already. Raises `TrainerError` when there is none yet.
        """
        if self.average is None or not self.average.counts:
            raise TrainerError(
                f"{self.whoami()}: there is no moving average yet; call exponential_moving_average(beta) or "
                "cumulative_moving_average(), then update"
            )
        self.average.swap_in(self._present_store(), save_weights, bias_correction)

    def swap_params_to_weights(self) -> None:
        """Put the weights back in their place; nothing happens when they are there.

        Raises `TrainerError` when `swap_params_to_moving_average` was told not to keep them.
        """
        if self.average is None or not self.average.swapped:
            return
        if not self.average.saved:
            raise TrainerError(f"{self.whoami()}: there are no weights to put back; {self.average.way_back()}")
        self.average.swap_out(self._present_store())

    @contextmanager
    def averaged(self, bias_correction: bool = False) -> Iterator[None]:
        """`with trainer.averaged():` the averages in the place of the weights for a block, such as an evaluation."""
        already = self.average is not None and self.average.swapped
        self.swap_params_to_moving_average(True, bias_correction)
        try:
            yield
        finally:
            if not already:
                self.swap_params_to_weights()

    def _refuse_swapped(self, why: str) -> None:
        """Raise `TrainerError` while averages stand in for the weights."""
        if self.average is not None and self.average.swapped:
            raise TrainerError(
                f"{self.whoami()}: moving averages stand in for the weights, {why}; {self.average.way_back()}"
            )
