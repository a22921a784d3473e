"""A variational autoencoder of noisy digits: every picture becomes a place in the plane, every place a picture.

Kingma and Welling 2014. The noise comes from NumPy as an input of the graph, so the graph itself has nothing random.

python docs/examples/dynet/vae.py
"""

import argparse

import dynet as dy
import numpy as np
from start_values import fill

# Ten digits, five rows of four pixels each, a letter for a row: 9 is 1001, f is 1111.
DIGITS = ["f999f", "26227", "f1f8f", "f171f", "99f11", "f8f1f", "f8f9f", "f1248", "f9f9f", "f9f1f"]
ROWS, COLUMNS, PLANE = 5, 4, 2
PICTURES = np.array([[int(bit) for row in digit for bit in f"{int(row, 16):04b}"] for digit in DIGITS])
PIXELS = ROWS * COLUMNS


def batch_of(rng, size):
    """Pictures as columns, one pixel in thirty the wrong way round."""
    pictures = PICTURES[rng.randint(len(PICTURES), size=size)].T
    return np.abs(pictures - (rng.rand(PIXELS, size) < 1 / 30))


def show(pictures):
    """Pictures side by side, darker where a pixel is more probable."""
    for row in range(ROWS):
        line = [picture.reshape(ROWS, COLUMNS)[row] for picture in pictures]
        print("   " + "   ".join("".join(" .:*#"[int(4.99 * p)] for p in pixels) for pixels in line))


class Autoencoder:
    def __init__(self, model, hidden=40):
        self.W = model.add_parameters((hidden, PIXELS))
        self.b = model.add_parameters(hidden)
        self.W_mean = model.add_parameters((PLANE, hidden))
        self.b_mean = model.add_parameters(PLANE)
        self.W_log_variance = model.add_parameters((PLANE, hidden))
        self.b_log_variance = model.add_parameters(PLANE)
        self.V = model.add_parameters((hidden, PLANE))
        self.c = model.add_parameters(hidden)
        self.V_pixels = model.add_parameters((PIXELS, hidden))
        self.c_pixels = model.add_parameters(PIXELS)

    def encode(self, x):
        """Where a picture may lie: mean and log variance of a normal distribution over the plane."""
        h = dy.tanh(self.W * x + self.b)
        return self.W_mean * h + self.b_mean, self.W_log_variance * h + self.b_log_variance

    def decode(self, z):
        """The log odds of each pixel."""
        return self.V_pixels * dy.tanh(self.V * z + self.c) + self.c_pixels

    def bound(self, pictures, noise):
        """The negative lower bound of the log probability of a picture, the mean over the batch, in nats.

        The first part asks for pictures that come back as they were, the second for places that look as if they were
        drawn from N(0, 1), so that one can draw there. A place is mean + deviation * noise: the noise needs no
        gradient, mean and deviation have one.
        """
        dy.renew_cg()
        x = dy.inputTensor(pictures, batched=True)
        mean, log_variance = self.encode(x)
        z = mean + dy.cmult(dy.exp(0.5 * log_variance), dy.inputTensor(noise, batched=True))
        odds = self.decode(z)
        returned = dy.cmult(x, dy.log_sigmoid(odds)) + dy.cmult(1 - x, dy.log_sigmoid(-odds))
        divergence = 0.5 * (dy.square(mean) + dy.exp(log_variance) - log_variance - 1)
        return dy.mean_batches(dy.sum_elems(divergence) - dy.sum_elems(returned))

    def place(self, picture):
        dy.renew_cg()
        return self.encode(dy.inputVector(picture))[0].npvalue()

    def picture(self, place):
        dy.renew_cg()
        return dy.logistic(self.decode(dy.inputVector(place))).npvalue()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=2000)
    options, _ = parser.parse_known_args()

    rng = np.random.RandomState(1)
    test, test_noise = batch_of(rng, 200), rng.randn(PLANE, 200)
    model = dy.ParameterCollection()
    autoencoder = Autoencoder(model)
    fill(model)
    trainer = dy.AdamTrainer(model, alpha=0.005)
    for update in range(options.updates):
        loss = autoencoder.bound(batch_of(rng, 20), rng.randn(PLANE, 20))
        value = loss.scalar_value()
        loss.backward()
        trainer.update()
        if update % max(options.updates // 6, 1) == 0:
            print(f"update {update}: {value:.3f} nats")

    print("Digits, and below what comes back:")
    show(PICTURES)
    print()
    places = [autoencoder.place(picture) for picture in PICTURES]
    show([autoencoder.picture(place) for place in places])
    print("Where they lie:", ", ".join(f"{digit} ({x:.1f}, {y:.1f})" for digit, (x, y) in enumerate(places)))
    print("On the way from the place of 1 to that of 8:")
    show([autoencoder.picture(places[1] + (places[8] - places[1]) * part) for part in np.linspace(0, 1, 8)])
    final = autoencoder.bound(test, test_noise).scalar_value()
    print(f"loss after {options.updates} updates: {final:.8g}")


if __name__ == "__main__":
    main()
