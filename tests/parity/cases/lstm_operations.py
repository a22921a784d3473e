"""The operations that LSTMs are made of."""

from table import operation

GATES = ("2 3 12,2 12,3 12", "2x4 3x4 12,2 12,3 12", "2x4 3 12,2 12,3 12", "1 1 4,1 4,1 4")


@operation("vanilla_lstm_gates", *GATES)
def vanilla_lstm_gates(dy, x, h, wx, wh, b):
    return dy.vanilla_lstm_gates(x, h, wx, wh, b)


@operation("vanilla_lstm_gates_concat", "2 1 3 12,3 12,3 12", "2x4 1x4 3x4 12,3 12,3 12")
def vanilla_lstm_gates_concat(dy, x, y, h, wx, wh, b):
    return dy.vanilla_lstm_gates_concat([x, y], h, wx, wh, b)


@operation("vanilla_lstm_gates_dropout", "2 3 12,2 12,3 12 2 3", "2x4 3x4 12,2 12,3 12 2x4 3x4", skip=(5, 6),
           why="masks have no gradient")  # fmt: skip
def vanilla_lstm_gates_dropout(dy, x, h, wx, wh, b, mask_x, mask_h):
    return dy.vanilla_lstm_gates_dropout(x, h, wx, wh, b, mask_x, mask_h)


@operation("vanilla_lstm_gates_dropout_concat", "2 1 3 12,3 12,3 12 3 3", "2x4 1x4 3x4 12,3 12,3 12 3x4 3x4",
           skip=(6, 7), why="masks have no gradient")  # fmt: skip
def vanilla_lstm_gates_dropout_concat(dy, x, y, h, wx, wh, b, mask_x, mask_h):
    return dy.vanilla_lstm_gates_dropout_concat([x, y], h, wx, wh, b, mask_x, mask_h)


@operation("vanilla_lstm_c", "3 12", "3x4 12x4", "1 4")
def vanilla_lstm_c(dy, c, gates):
    return dy.vanilla_lstm_c(c, gates)


@operation("vanilla_lstm_h", "3 12", "3x4 12x4", "1 4")
def vanilla_lstm_h(dy, c, gates):
    return dy.vanilla_lstm_h(c, gates)
