"""Train a Keras model in a loop that JAX compiles: on a GPU a small network waits for Python.

Used where Keras runs on JAX. The recipe is that of `training.compile_model` and
`datasets.augment`; only the random numbers and the last, smaller batch of an epoch differ: here
its images come first in the next epoch.
"""

import functools

import jax
import jax.numpy as jnp
import keras
import numpy as np

from unet_helpers.labels import VOID
from unet_helpers.training.recipe import schedule


def augment(image, mask, key):
    """Mirror a pair at random and change the image's colours, as `datasets.augment` does.

    Shapes: float (H, W, 3), integer (H, W) -> the same.
    """
    random = jax.random.uniform(key, (9,))
    mirror = random[1] < 0.5
    image, mask = (jnp.where(mirror, part[:, ::-1], part) for part in (image, mask))
    contrast, brightness = 0.85 + 0.3 * random[4], 40 * (random[5] - 0.5)
    tint = 0.93 + 0.14 * random[6:9]
    mean = image.mean()
    return jnp.round(jnp.clip(((image - mean) * contrast + mean + brightness) * tint, 0, 255)), mask


def crop_and_augment(image, mask, key, size, classes):
    """Cut out a part and change it at random, as `datasets.random_crop` and `augment` do."""
    (height, width), (h, w), keys = mask.shape, size, jax.random.split(key, 3)
    likely = jnp.isin(mask, jnp.asarray(classes)).ravel() + 1e-6
    pixel = jax.random.categorical(keys[1], jnp.log(likely))
    random = jax.random.uniform(keys[2], (3,))
    anywhere = (random[1] * height).astype(int), (random[2] * width).astype(int)
    y, x = (
        jnp.where(random[0] < 0.5, *pair)
        for pair in zip((pixel // width, pixel % width), anywhere, strict=True)
    )
    top, left = jnp.clip(y - h // 2, 0, height - h), jnp.clip(x - w // 2, 0, width - w)
    image = jax.lax.dynamic_slice(image, (top, left, 0), (h, w, 3))
    return augment(image, jax.lax.dynamic_slice(mask, (top, left), (h, w)), keys[0])


def fit(
    model,
    images,
    masks,
    epochs,
    batch_size=4,
    learning_rate=5e-3,
    constant=False,
    class_weights=None,
    augmentation=augment,
    steps_per_epoch=None,
    seed=0,
    after_epoch=None,
):
    """Train a model on uint8 images (N, H, W, 3) and masks (N, H, W) of a data set in memory.

    class_weights: float (C,), multiplied with each pixel's loss. after_epoch: called when the
    model holds the weights of an epoch.
    """
    steps = steps_per_epoch or -(-len(images) // batch_size)
    rate = learning_rate if constant else schedule(learning_rate, epochs * steps)
    optimizer = keras.optimizers.Adam(rate)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=VOID)
    weight_of = np.ones(256, np.float32)
    weight_of[VOID] = 0
    if class_weights is not None:
        weight_of[: len(class_weights)] = class_weights
    data = jnp.asarray(images), jnp.asarray(masks), jnp.asarray(weight_of)

    def step(data, state, batch):
        (images, masks, weight_of), (trainable, others, optimized) = data, state
        numbers, key = batch
        x, y = images[numbers].astype("float32"), masks[numbers].astype("int32")
        if augmentation is not None:
            x, y = jax.vmap(augmentation)(x, y, jax.random.split(key, batch_size))

        def loss_of(trainable):
            logits, updated = model.stateless_call(trainable, others, x, training=True)
            return loss(y, logits, weight_of[y]), updated

        (value, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trainable)
        trainable, optimized = optimizer.stateless_apply(optimized, gradients, trainable)
        return (trainable, others, optimized), value

    variables = model.trainable_variables, model.non_trainable_variables, optimizer.variables
    state = tuple([jnp.array(variable.value) for variable in part] for part in variables)

    @functools.partial(jax.jit, donate_argnums=1)
    def run(data, state, batches):
        return jax.lax.scan(functools.partial(step, data), state, batches)

    random, n = np.random.default_rng(seed), epochs * steps * batch_size
    shuffled = [random.permutation(len(images)) for _ in range(-(-n // len(images)))]
    order = np.concatenate(shuffled)[:n].reshape(epochs, steps, batch_size)
    keys = jax.random.split(jax.random.key(seed), epochs * steps).reshape(epochs, steps)
    for epoch in range(epochs):
        state, losses = run(data, state, (order[epoch], keys[epoch]))
        if not jnp.isfinite(losses[-1]):
            raise SystemExit(f"The loss is {losses[-1]} in epoch {epoch + 1}.")
        for part, values in zip(variables, state, strict=True):
            for variable, value in zip(part, values, strict=True):
                variable.assign(jnp.array(value))  # the loop reuses the memory of its own
        if after_epoch:
            after_epoch()
