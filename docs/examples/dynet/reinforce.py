"""REINFORCE in a T-maze: reward comes at the end, and what earns it was seen at the beginning only.

Williams 1992; the maze is that of Bakker 2002. The agent sees a signal, walks down a corridor, and has to turn to the
side of the signal where the corridor ends. It sees the same at each step in between, so its network has a memory.

python docs/examples/dynet/reinforce.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

ACTIONS = ["forward", "left", "right"]
FORWARD, LEFT, RIGHT = range(3)
CORRIDOR, JUNCTION = 2, 3
SEEN = ["signal left", "signal right", "corridor", "junction"]


class Maze:
    """A corridor. What the agent sees is a number: one of two signals at the start, then corridor, then junction."""

    def __init__(self, signal, length=4):
        self.signal, self.length, self.place, self.over = signal, length, 0, False

    def look(self):
        if self.place == 0:
            return self.signal
        return JUNCTION if self.place == self.length else CORRIDOR

    def best(self):
        return FORWARD if self.place < self.length else LEFT + self.signal

    def act(self, action):
        """The reward. Running into a wall ends the walk without one, and so does the wrong turn."""
        right = action == self.best()
        self.over = not right or self.place == self.length
        self.place += 1
        return float(right and self.over) + 0.1 * right


class Agent:
    """A recurrent network that gives each action a probability, and guesses the reward that is still to come."""

    def __init__(self, model, embedding=8, hidden=16):
        self.E = model.add_lookup_parameters((len(SEEN), embedding))
        self.memory = dy.GRUBuilder(1, embedding, hidden, model)
        self.W = model.add_parameters((len(ACTIONS), hidden))
        self.b = model.add_parameters(len(ACTIONS))
        self.v = model.add_parameters((1, hidden))

    def walk(self, maze, rng=None):
        """Steps of one walk: log probability of the action, guessed reward to come, reward. Without `rng` the best."""
        state, steps = self.memory.initial_state(), []
        while not maze.over:
            state = state.add_input(self.E[maze.look()])
            log_probabilities = dy.log_softmax(self.W * state.output() + self.b)
            if rng is None:
                action = maze.best()
            else:
                probabilities = np.exp(log_probabilities.npvalue())
                action = int(rng.choice(len(ACTIONS), p=probabilities / probabilities.sum()))
            steps.append((dy.pick(log_probabilities, action), self.v * state.output(), maze.act(action)))
        return steps

    def chosen(self, maze):
        """The actions that seem best, until the walk is over."""
        dy.renew_cg()
        state, actions = self.memory.initial_state(), []
        while not maze.over:
            state = state.add_input(self.E[maze.look()])
            actions.append(int(np.argmax((self.W * state.output() + self.b).npvalue())))
            maze.act(actions[-1])
        return actions


def policy_loss(steps):
    """Its gradient is that of the negative expected reward, plus what teaches the guess.

    An action is made more probable as far as the reward after it was better than guessed. The guess is a baseline: it
    takes noise out of the gradient and must not be changed by it, so only its number counts there.
    """
    losses = []
    to_come = 0.0
    for log_probability, guess, reward in reversed(steps):
        to_come += reward
        losses.append(-log_probability * (to_come - guess.scalar_value()))
        losses.append(0.5 * dy.square(guess - to_come))
    return dy.esum(losses)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=300)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    model = dy.ParameterCollection()
    agent = Agent(model)
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.01)
    rewards = []
    for update in range(options.updates):
        dy.renew_cg()
        walks = [agent.walk(Maze(signal=rng.randint(2)), rng) for _ in range(10)]
        rewards += [sum(reward for _, _, reward in steps) for steps in walks]
        loss = dy.esum([policy_loss(steps) for steps in walks])
        loss.forward()
        loss.backward()
        trainer.update()
        if (update + 1) % 25 == 0:
            print(f"update {update + 1}: mean reward {np.mean(rewards[-250:]):.3f} (at most 1.5)")

    for signal in (0, 1):
        print(f"{SEEN[signal]}: " + ", ".join(ACTIONS[action] for action in agent.chosen(Maze(signal))))
    # A number without chance in it: how improbable the two perfect walks still are.
    dy.renew_cg()
    surprise = -dy.esum([step[0] for signal in (0, 1) for step in agent.walk(Maze(signal))])
    print(f"loss after {options.updates} updates: {surprise.scalar_value() / 2:.8g}")


if __name__ == "__main__":
    main()
