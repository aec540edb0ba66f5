"""Figures against goals, collected over all sections."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    what: str
    figure: float
    goal: float
    at_least: bool  # else: at most
    unit: str

    @property
    def met(self) -> bool:
        return self.figure >= self.goal if self.at_least else self.figure <= self.goal

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "ok" if self.met else "MISS"
        return f"{verdict:4}  {self.what:62} {self.figure:9.2f}{self.unit:3}  goal {sign} {self.goal:g}{self.unit}"


class Report:
    """Prints each figure when it is known, and all of them together at the end."""

    def __init__(self) -> None:
        self._goals: list[Goal] = []
        self._not_run: list[str] = []

    @property
    def missed(self) -> int:
        """How many goals were not met; the exit code of the run is 1 if there are any."""
        return int(any(not goal.met for goal in self._goals))

    def goal(
        self, what: str, figure: float, *, at_least: float | None = None, at_most: float | None = None, unit: str = ""
    ) -> None:
        limit = at_least if at_least is not None else at_most
        assert limit is not None, "a goal has a limit"
        goal = Goal(what=what, figure=figure, goal=limit, at_least=at_least is not None, unit=unit)
        self._goals.append(goal)
        print(f"  {goal}", flush=True)

    def not_run(self, what: str, why: str) -> None:
        self._not_run.append(f"not run: {what}: {why}")
        print(f"  {self._not_run[-1]}", flush=True)

    def __str__(self) -> str:
        return "\n".join(["== goals", *map(str, self._goals), *self._not_run])
