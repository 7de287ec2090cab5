"""Sequential: adding and removing layers, building, nesting, weights, configuration."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import layers

X = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


def small_model():
    return weft.Sequential(
        [weft.Input((4,)), layers.Dense(5, activation="relu"), layers.Dense(3)], name="small"
    )


def test_input_builds_while_layers_are_added():
    model = weft.Sequential()
    model.add(weft.Input(shape=(4,)))
    assert not model.built
    model.add(layers.Dense(5))
    assert [v.shape for v in model.weights] == [(4, 5), (5,)]
    model.add(layers.Dense(3))
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 3)
    assert model.count_params() == 4 * 5 + 5 + 5 * 3 + 3
    assert [layer.name for layer in model.layers] == [each.name for each in model.layers]
    assert len(model.layers) == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("arguments", [{"input_shape": (4,)}, {"input_dim": 4}])
def test_first_layer_may_tell_the_input_shape(arguments):
    model = weft.Sequential([layers.Dense(5, **arguments), layers.Dense(3)])
    assert model.built
    assert model.input_shape == (None, 4)


def test_deferred_build():
    model = weft.Sequential([layers.Dense(5, activation="relu"), layers.Dense(3)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(AttributeError, match="no input shape"):
        _ = model.input_shape
    with pytest.raises(ValueError, match="no weights yet"):
        model.count_params()
    assert model(X).shape == (9, 3)
    assert model.input_shape == (None, 4)
    by_shape = weft.Sequential([layers.Dense(5)])
    by_shape.build((None, 4))
    assert by_shape.output_shape == (None, 5)


def test_pop_and_add_change_what_runs():
    model = small_model()
    kernel, bias = model.get_weights()[:2]
    model.predict(X, verbose=0)
    removed = model.pop()
    assert removed.units == 3
    assert model.output_shape == (None, 5)
    hidden = np.maximum(X @ kernel + bias, 0)
    np.testing.assert_allclose(model.predict(X, verbose=0), hidden, rtol=1e-5, atol=1e-6)
    model.add(layers.Dense(2, use_bias=False))
    last = model.get_weights()[2]
    np.testing.assert_allclose(model.predict(X, verbose=0), hidden @ last, rtol=1e-5, atol=1e-5)
    while model.layers:
        model.pop()
    assert not model.built
    with pytest.raises(ValueError, match="no layers to remove"):
        model.pop()


def test_nested_models_share_weights_and_follow_changes():
    inner = small_model()
    outer = weft.Sequential([weft.Input((4,)), inner, layers.Dense(2, use_bias=False)])
    assert len(outer.weights) == 5
    np.testing.assert_allclose(outer(X), inner(X) @ outer.get_weights()[-1], rtol=1e-5, atol=1e-6)
    inner.set_weights([np.ones_like(w) for w in inner.get_weights()])
    np.testing.assert_allclose(outer(X), inner(X) @ outer.get_weights()[-1], rtol=1e-5, atol=1e-5)
    before = outer(X)
    inner.add(layers.Activation("tanh"))
    after = outer(X)
    assert np.abs(before - after).max() > 1e-3
    np.testing.assert_allclose(after, inner(X) @ outer.get_weights()[-1], rtol=1e-5, atol=1e-5)


def test_nested_model_at_the_start_gives_the_input_shape():
    outer = weft.Sequential([small_model(), layers.Dense(2)])
    assert outer.input_shape == (None, 4)


def test_array_call_equals_predict_and_numpy():
    model = small_model()
    k1, b1, k2, b2 = model.get_weights()
    wanted = np.maximum(X @ k1 + b1, 0) @ k2 + b2
    for outputs in (
        model(X),
        model.predict(X, verbose=0),
        model.predict_on_batch(X),
        model.predict(X.tolist(), verbose=0),
        model(np.asfortranarray(X)),
        model(X.astype(np.float64)),
        model(X[::-1])[::-1],
    ):
        np.testing.assert_allclose(outputs, wanted, rtol=1e-5, atol=1e-6)
        assert outputs.dtype == np.float32


def test_training_argument_makes_dropout_active():
    model = weft.Sequential([weft.Input((4,)), layers.Dropout(0.5)])
    np.testing.assert_array_equal(model(X), X)
    dropped = model(X, training=True)
    assert 0 < np.count_nonzero(dropped == 0) < X.size
    assert not np.array_equal(dropped, model(X, training=True))


def test_get_layer():
    model = small_model()
    assert model.get_layer(index=0) is model.layers[0]
    assert model.get_layer(model.layers[1].name) is model.layers[1]
    with pytest.raises(ValueError, match="did you mean"):
        model.get_layer("dens")
    with pytest.raises(ValueError, match="has 2 layers, got index 5"):
        model.get_layer(index=5)
    with pytest.raises(ValueError, match="either a name or an index"):
        model.get_layer()


def test_weights_round_trip():
    model, other = small_model(), small_model()
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(model(X), other(X))


def test_trainable_is_handed_down():
    model = small_model()
    model.layers[0].trainable = False
    assert len(model.trainable_weights) == 2
    assert len(model.non_trainable_weights) == 2
    model.trainable = False
    assert model.trainable_weights == []
    model.trainable = True
    assert len(model.trainable_weights) == 4


class Scale(layers.Layer):
    """A layer of one's own."""

    def __init__(self, factor=2.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape):
        self.weight = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="weight")

    def call(self, inputs, training=False):
        return inputs * self.weight * self.factor

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


def test_config_round_trip():
    model = weft.Sequential(
        [
            weft.Input((4,)),
            Scale(3.0),
            weft.Sequential([layers.Dense(5, "relu"), layers.Dropout(0.5)]),
            layers.Dense(2, kernel_regularizer="l2", kernel_initializer="he_normal"),
        ]
    )
    custom = {"Scale": Scale}
    again = weft.Sequential.from_config(model.get_config(), custom)
    assert again.get_config() == model.get_config()
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X), model(X))
    by_json = weft.models.model_from_json(model.to_json(), custom)
    by_json.set_weights(model.get_weights())
    np.testing.assert_array_equal(by_json(X), model(X))
    with pytest.raises(ValueError, match="Unknown layer 'Scale'"):
        weft.Sequential.from_config(model.get_config())


def test_clone_has_weights_of_its_own():
    model = small_model()
    clone = weft.models.clone_model(model)
    assert clone.count_params() == model.count_params()
    clone.set_weights([w + 1 for w in model.get_weights()])
    assert np.abs(clone(X) - model(X)).max() > 0.1
    deferred = weft.models.clone_model(weft.Sequential([layers.Dense(3)]))
    assert not deferred.built


def test_names_are_numbered_until_the_session_is_cleared():
    weft.backend.clear_session()
    first = weft.Sequential([weft.Input((4,)), layers.Dense(2), layers.Dense(2)])
    assert first.name == "sequential"
    assert [layer.name for layer in first.layers] == ["dense", "dense_1"]
    assert weft.Sequential().name == "sequential_1"
    weft.backend.clear_session()
    assert weft.Sequential().name == "sequential"


class Residual(weft.Model):
    """A model of one's own."""

    def __init__(self):
        super().__init__()
        self.inner = layers.Dense(4, activation="relu")
        self.outer = layers.Dense(3)

    def call(self, inputs, training=False):
        return self.outer(inputs + self.inner(inputs))


def test_model_of_ones_own_trains():
    model = Residual()
    model.compile("adam", "mse", metrics=["mae"])
    y = X[:, :3]
    history = model.fit(X, y, epochs=30, batch_size=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert len(model.trainable_weights) == 4
    k1, b1, k2, b2 = model.get_weights()
    wanted = (X + np.maximum(X @ k1 + b1, 0)) @ k2 + b2
    np.testing.assert_allclose(model.predict(X, verbose=0), wanted, rtol=1e-4, atol=1e-5)
    with pytest.raises(TypeError, match=r"Model\(inputs, outputs\) is not supported"):
        weft.Model(inputs=1, outputs=2)


def test_weft_stands_in_for_tensorflow():
    from weft.keras.layers import Dense
    from weft.keras.models import Sequential

    import weft as tf

    assert tf.keras.layers.Dense is layers.Dense is Dense
    assert Sequential is weft.Sequential
    tf.random.set_seed(1)
    first = layers.Dense(3)(X)
    tf.keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(layers.Dense(3)(X), first)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda m: m.add(layers.Dense), "got the class; write Dense"),
        (lambda m: m.add("dense"), "expects a layer, got 'dense'"),
        (lambda m: m.add(weft.Input((4,))), "Input only at the start"),
        (lambda m: m.add(m.layers[0]), "already one named"),
        (lambda m: m.add(m), "different names"),
        (lambda m: m.add(layers.Reshape((7,))), "Reshape"),
        (lambda m: m.build((None, 5)), r"expects inputs of shape \(None, 4\)"),
    ],
)
def test_bad_additions_change_nothing(action, message):
    model = small_model()
    names = [layer.name for layer in model.layers]
    before = model(X)
    with pytest.raises(ValueError, match=message):
        action(model)
    assert [layer.name for layer in model.layers] == names
    np.testing.assert_array_equal(model(X), before)


def test_failed_build_leaves_no_weights():
    model = weft.Sequential([layers.Dense(5), layers.Reshape((7,))])
    with pytest.raises(ValueError, match="Reshape"):
        model.build((None, 4))
    assert not model.layers[0].built
    assert model.weights == []
    model.pop()
    assert model(X).shape == (9, 5)


def test_layers_added_inside_of_a_compiled_model_are_trained():
    inner = weft.Sequential([weft.Input((4,)), layers.Dense(3, name="frozen")])
    outer = weft.Sequential([weft.Input((4,)), inner])
    inner.layers[0].trainable = False
    outer.compile("sgd", "mse")
    inner.layers[0].trainable = True  # too late: fixed by compile
    with pytest.raises(ValueError, match="no trainable weight"):
        outer.train_on_batch(X, X[:, :3])
    inner.add(layers.Dense(3))
    before = outer.get_weights()
    outer.train_on_batch(X, X[:, :3])
    changed = [not np.array_equal(a, b) for a, b in zip(before, outer.get_weights(), strict=True)]
    assert changed == [False, False, True, True]
    assert outer(X, training=True).shape == (9, 3)
    inner.pop()
    inner.pop()
    inner.add(layers.Dense(2))
    assert outer(X, training=True).shape == (9, 2)


@pytest.mark.cpu
def test_plans_of_many_batch_sizes_take_little_memory():
    model = weft.Sequential([weft.Input((4,)), layers.Dense(30000), layers.Dense(1)])
    model.compile("sgd", "mse")
    for rows in range(300, 312):
        x = np.zeros((rows, 4), np.float32)
        model.train_on_batch(x, x[:, :1])
        model.predict_on_batch(x)
    plans = model._plans._plans.values()
    assert 2 <= len(plans) <= 32
    assert sum(plan.plan.arena_bytes for plan in plans) < 300e6


def test_freezing_batch_normalization_counts_in_the_next_training_call():
    norm = layers.BatchNormalization()
    model = weft.Sequential([weft.Input((4,)), norm])
    model(X, training=True)
    norm.trainable = False
    np.testing.assert_array_equal(model(X, training=True), model(X))


class Around(layers.Layer):
    """A layer of one's own with a layer inside, in Keras's way."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def call(self, inputs):
        return self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": layers.serialize(self.inner)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner = layers.deserialize(config["inner"], custom_objects)
        return cls(**{**config, "inner": inner})


def test_custom_objects_reach_layers_inside_of_layers():
    model = weft.Sequential(
        [
            weft.Input((3, 4)),
            layers.TimeDistributed(Scale(3.0)),
            Around(weft.Sequential([Scale(2.0), layers.Dense(2)])),
        ]
    )
    custom = {"Scale": Scale, "Around": Around}
    again = weft.Sequential.from_config(model.get_config(), custom)
    again.set_weights(model.get_weights())
    x = np.random.default_rng(1).normal(size=(2, 3, 4))
    np.testing.assert_array_equal(again(x), model(x))
