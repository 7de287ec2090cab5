"""When callbacks are called and with what, and what each of weft's own does."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest

import weft
from weft import callbacks, layers

RNG = np.random.default_rng(7)
X = RNG.normal(size=(20, 3)).astype(np.float32)
Y = RNG.normal(size=(20, 1)).astype(np.float32)


def regression(learning_rate=0.01):
    weft.utils.set_random_seed(2)
    model = weft.Sequential([weft.Input((3,)), layers.Dense(1)])
    model.compile(weft.optimizers.SGD(learning_rate), "mse")
    return model


class Recorder(callbacks.Callback):
    """Writes down every call."""

    def __init__(self):
        super().__init__()
        self.calls = []


def _recording(name):
    def method(self, *arguments):
        *head, logs = (
            arguments if arguments and isinstance(arguments[-1], dict) else (*arguments, {})
        )
        self.calls.append((name, *head, *sorted(logs)))

    return method


class BatchRecorder(Recorder):
    pass


EPOCH_METHODS = ["on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end"]
EPOCH_METHODS += ["on_test_begin", "on_test_end", "on_predict_begin", "on_predict_end"]
BATCH_METHODS = [
    f"on_{mode}_batch_{when}" for mode in ("train", "test", "predict") for when in ("begin", "end")
]
for _name in EPOCH_METHODS:
    setattr(Recorder, _name, _recording(_name))
for _name in BATCH_METHODS:
    setattr(BatchRecorder, _name, _recording(_name))


def test_order_of_calls():
    model, recorder = regression(), BatchRecorder()
    model.fit(X, Y, batch_size=10, verbose=0, validation_data=(X, Y), callbacks=[recorder])
    assert recorder.calls == [
        ("on_train_begin",),
        ("on_epoch_begin", 0),
        ("on_train_batch_begin", 0),
        ("on_train_batch_end", 0, "loss"),
        ("on_train_batch_begin", 1),
        ("on_train_batch_end", 1, "loss"),
        ("on_test_begin",),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0, "loss"),
        ("on_test_batch_begin", 1),
        ("on_test_batch_end", 1, "loss"),
        ("on_test_end", "loss"),
        ("on_epoch_end", 0, "loss", "val_loss"),
        ("on_train_end", "loss", "val_loss"),
    ]
    assert model.last_fit_mode == "batch"
    assert recorder.model is model
    assert recorder.params == {"verbose": 0, "epochs": 1, "steps": 2}


def test_predict_calls_with_outputs_of_batches():
    class Collector(callbacks.Callback):
        parts = ()

        def on_predict_batch_end(self, batch, logs=None):
            self.parts = (*self.parts, logs["outputs"].copy())

    model, collector, recorder = regression(), Collector(), BatchRecorder()
    outputs = model.predict(X, batch_size=8, verbose=0, callbacks=[collector, recorder])
    assert [len(part) for part in collector.parts] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate(collector.parts), outputs)
    assert [call[0] for call in recorder.calls][:2] == [
        "on_predict_begin",
        "on_predict_batch_begin",
    ]
    assert recorder.calls[-1] == ("on_predict_end",)


def test_only_batch_methods_make_fit_stop_at_every_batch():
    def mode(callback):
        model = regression()
        model.fit(X, Y, verbose=0, callbacks=[callback])
        return model.last_fit_mode

    assert mode(Recorder()) == "epoch"
    assert mode(callbacks.EarlyStopping("loss")) == "epoch"
    assert mode(callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None)) == "epoch"
    assert mode(callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)) == "batch"

    class OldStyle(callbacks.Callback):
        seen = ()

        def on_batch_end(self, batch, logs=None):
            self.seen = (*self.seen, batch)

    old = OldStyle()
    assert mode(old) == "batch"
    assert old.seen == (0,)


def test_batch_by_batch_gives_the_same_as_whole_epochs():
    whole, single = regression(), regression()
    logs = whole.fit(X, Y, batch_size=6, epochs=3, verbose=0).history
    seen = []
    callback = callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["loss"])
    )
    assert single.fit(X, Y, batch_size=6, epochs=3, verbose=0, callbacks=callback).history == logs
    np.testing.assert_array_equal(whole.get_weights()[0], single.get_weights()[0])
    assert seen[3::4] == logs["loss"]  # the mean so far, at the end of each epoch


def test_a_callback_may_stop_training():
    def stop(batch, logs):
        model.stop_training = batch == 1

    model = regression()
    callback = callbacks.LambdaCallback(on_train_batch_end=stop)
    history = model.fit(X, Y, batch_size=5, epochs=9, verbose=0, callbacks=[callback])
    assert history.epoch == [0]
    assert model.optimizer.iterations == 2


class Scripted(callbacks.Callback):
    """Puts given values into the logs, and counts epochs in the bias."""

    def __init__(self, values, name="val_loss"):
        super().__init__()
        self.values, self.name = values, name

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]
        self.model.layers[0].bias.assign([float(epoch)])


def stopped(values, name="val_loss", **options):
    """Epochs run and the epoch whose weights are left."""
    model = regression(0.0)
    stopper = callbacks.EarlyStopping(monitor=name, **options)
    history = model.fit(
        X, Y, epochs=len(values), verbose=0, callbacks=[Scripted(values, name), stopper]
    )
    return len(history.epoch), int(model.get_weights()[1][0]), stopper


def test_early_stopping_waits_for_patience():
    assert stopped([3, 2, 2, 2, 1, 1], patience=0)[0] == 3
    assert stopped([3, 2, 2, 2, 1, 1], patience=2)[0] == 4
    assert stopped([3, 2, 2, 2, 1, 1], patience=3)[0] == 6
    assert stopped([3, 2.5, 2, 1.5], patience=2, min_delta=0.6)[0] == 4
    assert stopped([3, 2.5, 2, 1.5], patience=1, min_delta=1.1)[0] == 2
    assert stopped([1, 2, 3, 4], "val_accuracy", patience=1)[0] == 4
    assert stopped([4, 3, 2, 1], "val_accuracy", patience=1)[0] == 2
    assert stopped([4, 3, 2, 1], mode="max", patience=1)[0] == 2
    assert stopped([1, 2, 3, 4, 5], patience=1, start_from_epoch=3)[0] == 5
    assert stopped([3, 2, 1, 0.5], patience=2, baseline=0.1)[0] == 4  # improves, so goes on
    assert stopped([3, 3, 3, 3], patience=2, baseline=0.1)[0] == 2  # the baseline resets nothing


def test_early_stopping_restores_the_best_weights():
    epochs, left, stopper = stopped([3, 1, 2, 2, 2], patience=2, restore_best_weights=True)
    assert (epochs, left, stopper.best_epoch, stopper.stopped_epoch) == (4, 1, 1, 3)
    # Also where training was not stopped early.
    assert stopped([3, 1, 2], patience=5, restore_best_weights=True)[:2] == (3, 1)
    assert stopped([3, 1, 2], patience=5)[:2] == (3, 2)
    # A value that never was a number leaves the first weights.
    nan = float("nan")
    assert stopped([nan, nan, nan], patience=2, restore_best_weights=True)[1] == 0


def test_early_stopping_serves_several_fits(capsys):
    stopper = callbacks.EarlyStopping("loss", patience=1, mode="max", verbose=1)
    for _ in range(2):
        model = regression()
        history = model.fit(X, Y, epochs=9, verbose=0, callbacks=[stopper])
        assert len(history.epoch) == 2
    assert capsys.readouterr().out.count("Epoch 2: early stopping") == 2


def test_early_stopping_only_warns_of_a_missing_value():
    with pytest.warns(UserWarning, match=r"watches 'val_loss', which is not available.*: loss"):
        history = regression().fit(
            X, Y, epochs=2, verbose=0, callbacks=[callbacks.EarlyStopping(patience=1)]
        )
    assert len(history.epoch) == 2
    with pytest.raises(ValueError, match="mode='max' or mode='min'"):
        stopped([1, 2, 3], "val_thing")


def test_learning_rate_scheduler():
    model = regression(0.5)
    scheduler = callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(X, Y, epochs=3, verbose=0, callbacks=[scheduler])
    assert history.history["learning_rate"] == [0.25, 0.125, 0.0625]
    old = callbacks.LearningRateScheduler(lambda epoch: 0.1 * (epoch + 1))
    history = model.fit(X, Y, epochs=2, verbose=0, callbacks=[old])
    np.testing.assert_allclose(history.history["learning_rate"], [0.1, 0.2])
    with pytest.raises(ValueError, match="expects a float"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda e, r: "x")])


def test_reduce_lr_on_plateau():
    model = regression(1.0)
    script = Scripted([5, 4, 4, 4, 4, 4, 3, 3, 3])
    reducer = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, cooldown=1, min_lr=0.3)
    history = model.fit(X * 0, Y, epochs=9, verbose=0, callbacks=[script, reducer])
    assert history.history["learning_rate"] == [1, 1, 1, 1, 0.5, 0.5, 0.3, 0.3, 0.3]
    with pytest.raises(ValueError, match="factor below 1"):
        callbacks.ReduceLROnPlateau(factor=1.0)


def test_terminate_on_nan_ends_training_without_an_error(capsys):
    model = regression(1e30)
    with np.errstate(all="ignore"):
        history = model.fit(
            X, Y, batch_size=5, epochs=9, verbose=0, callbacks=[callbacks.TerminateOnNaN()]
        )
    assert len(history.epoch) == 1
    assert np.isnan(history.history["loss"][-1])
    assert "Invalid loss, terminating training" in capsys.readouterr().out
    assert np.isfinite(model.get_weights()[0]).all()
    with pytest.raises(FloatingPointError):
        regression(1e30).fit(
            X, Y, batch_size=5, epochs=9, verbose=0, callbacks=[callbacks.TerminateOnNaN(True)]
        )


def test_model_checkpoint(tmp_path):
    model = regression(0.0)
    path = os.path.join(tmp_path, "deep", "w{epoch:02d}-{val_loss:.1f}.weights.h5")
    saver = callbacks.ModelCheckpoint(path, save_best_only=True, save_weights_only=True)
    model.fit(X, Y, epochs=4, verbose=0, callbacks=[Scripted([3, 2, 5, 1]), saver])
    names = sorted(os.listdir(tmp_path / "deep"))
    assert names == ["w01-3.0.weights.h5", "w02-2.0.weights.h5", "w04-1.0.weights.h5"]
    other = regression()
    other.load_weights(tmp_path / "deep" / names[1])
    assert other.get_weights()[1][0] == 1.0
    often = callbacks.ModelCheckpoint(
        tmp_path / "b{batch}.safetensors", save_weights_only=True, save_freq=2
    )
    model.fit(X, Y, batch_size=5, verbose=0, callbacks=[often])
    assert sorted(p.name for p in tmp_path.glob("b*")) == ["b2.safetensors", "b4.safetensors"]
    assert model.last_fit_mode == "batch"
    with pytest.raises(KeyError, match="val_loss"):
        model.fit(
            X, Y, verbose=0, callbacks=[callbacks.ModelCheckpoint(path, save_weights_only=True)]
        )
    with pytest.raises(ValueError, match="save_freq"):
        callbacks.ModelCheckpoint(path, save_freq="batch")


def test_csv_logger(tmp_path):
    path = tmp_path / "log.csv"
    model = regression()
    history = model.fit(
        X, Y, epochs=2, verbose=0, validation_split=0.5, callbacks=[callbacks.CSVLogger(path)]
    )
    more = callbacks.CSVLogger(path, append=True)
    model.fit(X, Y, epochs=1, verbose=0, validation_split=0.5, callbacks=[more])
    rows = list(csv.reader(path.open()))
    assert rows[0] == ["epoch", "loss", "val_loss"]
    assert [row[0] for row in rows[1:]] == ["0", "1", "0"]
    assert float(rows[1][1]) == history.history["loss"][0]


def test_bad_callbacks():
    with pytest.raises(TypeError, match=r"instances of weft\.callbacks\.Callback"):
        regression().fit(X, Y, verbose=0, callbacks=[print])
    with pytest.raises(ValueError, match="no argument 'on_epoch'"):
        callbacks.LambdaCallback(on_epoch=print)
    with pytest.warns(UserWarning, match="mode"):
        callbacks.EarlyStopping(mode="up")


@pytest.mark.parametrize(
    ("metric", "up"),
    [
        *(("hinge", False), ("mape", False), ("msle", False), ("poisson", False), ("kld", False)),
        *(("kl_divergence", False), ("cosine_similarity", True), ("logcosh", False)),
        *(("false_positives", False), ("true_negatives", True), ("Precision", True), ("ce", False)),
        *((weft.losses.hinge, False), (weft.metrics.BinaryAccuracy("hits"), True)),
    ],
)
def test_auto_mode_knows_the_metrics_of_weft(metric, up):
    model = regression()
    model.compile("sgd", "mse", metrics=[metric, metric] if isinstance(metric, str) else [metric])
    model.fit(X, Y, verbose=0)
    for name in model.metrics_names[1:]:
        watcher = callbacks.EarlyStopping(f"val_{name}")
        watcher.set_model(model)
        assert watcher.is_improvement(2.0, 1.0) is up


def test_unclear_names_are_refused_before_training():
    def deviation(y_true, y_pred):
        return y_pred - y_true

    model = regression()
    model.compile("sgd", "mse", metrics=[deviation])
    before = model.get_weights()
    for make in (
        callbacks.EarlyStopping,
        callbacks.ReduceLROnPlateau,
        lambda name: callbacks.ModelCheckpoint(
            "x", name, save_best_only=True, save_weights_only=True
        ),
    ):
        with pytest.raises(ValueError, match="'deviation' should grow or shrink"):
            model.fit(X, Y, verbose=0, callbacks=make("deviation"))
    np.testing.assert_array_equal(model.get_weights()[0], before[0])
    model.fit(X, Y, verbose=0, callbacks=callbacks.EarlyStopping("deviation", mode="min"))
