"""Several devices: one training run on all GPUs of a machine, or on several (docs/devices.md).

Every device gets a share of each batch and a copy of the weights, and all take the step that one
would take with the whole batch. So `batch_size` is that of all devices together.
"""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from unet_helpers.labels import VOID, DataError


def strategy(names=None):
    """Return what spreads a training run over the devices of this machine, or of all machines.

    The model must be built and compiled in its `scope()`. It is tf.distribute.MirroredStrategy over
    names, such as ["GPU:0", "GPU:1"], or all GPUs; with JAX keras.distribution.DataParallel over
    all devices; and with a single device TensorFlow's default, which does nothing.

    Source: the data-parallel step of Goyal et al. 2017, section 3.
    """
    backend = keras.backend.backend()
    if backend == "jax" and len(keras.distribution.list_devices()) > 1:
        # `share` divides the data: Keras's own division stops at a smaller last batch.
        found = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(found)  # `fit` needs it too, after the scope
        return found
    names = names or [f"GPU:{i}" for i in range(len(tf.config.list_physical_devices("GPU")))]
    if backend == "tensorflow" and len(names) > 1:
        return tf.distribute.MirroredStrategy(names)
    return tf.distribute.get_strategy()


def find_gpus():
    """Return how many GPUs are here, the first's name and its capability (major, minor) or None."""
    if keras.backend.backend() == "jax":
        import jax

        gpus = [device for device in jax.local_devices() if device.platform == "gpu"]
        if not gpus:
            return 0, None, None
        capability = getattr(gpus[0], "compute_capability", None)
        version = tuple(map(int, str(capability).split("."))) if capability else None
        return len(gpus), gpus[0].device_kind, version
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    return len(gpus), details.get("device_name", "GPU"), details.get("compute_capability")


def join(address, processes, process):
    """Let this process, a number from 0, train with others; call it before anything is computed.

    `address` is "host:port" of process 0; None is for a single process. Raises DataError unless
    Keras runs on JAX and process is one of the processes.
    """
    if not 0 <= process < processes or (address is None and processes > 1):
        raise DataError(
            f"This is process {process} of {processes}, at the address {address}. Processes count "
            "from 0, and more than one need the address of process 0, such as 10.0.0.1:12345."
        )
    if address is None:
        return
    if keras.backend.backend() != "jax":
        raise DataError(
            f"Keras computes with {keras.backend.backend()}; several processes need JAX. Set the "
            "environment variable KERAS_BACKEND=jax before Python starts."
        )
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")  # only CPUs need it
    keras.distribution.initialize(address, processes, process)


def own_folder(folder):
    """Return the folder that this process writes to: process 0's is the given one.

    Saving on one process deadlocks, so each keeps a copy in a folder below, such as `process-1`.
    """
    if keras.backend.backend() == "jax":
        import jax

        if number := jax.process_index():
            return Path(folder) / f"process-{number}"
    return Path(folder)


def check_same(done, folder):
    """Raise DataError unless all processes resume after the same number of epochs."""
    if keras.backend.backend() != "jax":
        return
    from jax.experimental import multihost_utils

    everywhere = np.ravel(multihost_utils.process_allgather(np.array(done))).tolist()
    if len(set(everywhere)) > 1:
        raise DataError(
            f"The processes have kept {everywhere} epochs in {folder} and its folders process-1 "
            "and so on: they were stopped while they wrote. Delete these folders to start afresh."
        )


def replicas(model):
    """Return the number of devices TensorFlow trains a model on; 1 with other backends."""
    tensorflow = keras.backend.backend() == "tensorflow"
    return model.distribute_strategy.num_replicas_in_sync if tensorflow else 1


@keras.saving.register_keras_serializable("unet_helpers")
class WholeBatch(keras.losses.Loss):
    """Compute a loss from the whole batch where several devices hold a part of it each.

    Keras averages the losses of the parts, which is not the mean over the batch's valid pixels if
    one has more void or one more image, and Dice always differs. So the devices exchange their
    logits first. On a single device this is the loss it is given.
    """

    def __init__(self, loss, name="whole_batch", **options):
        super().__init__(name=name, **options)
        self.loss = keras.losses.get(loss)  # a loaded model names it by its config

    def __call__(self, y_true, y_pred, sample_weight=None):
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            y_true = gather(context, keras.ops.cast(y_true, "int32"))  # uint8 cannot be exchanged
            y_pred = gather(context, y_pred)
            if sample_weight is not None:
                sample_weight = gather(context, sample_weight)
        whole = self.loss if isinstance(self.loss, keras.losses.Loss) else super().__call__
        return whole(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        return self.loss(y_true, y_pred)  # a function: Keras has it by name, such as "mse"

    def get_config(self):
        return super().get_config() | {"loss": keras.saving.serialize_keras_object(self.loss)}


def gather(context, tensor):
    """Concatenate the parts of a tensor that the devices hold, along the first axis."""
    whole = context.all_gather(tensor, 0)
    whole.set_shape([None, *tensor.shape[1:]])  # TensorFlow forgets the other axes
    return whole


def share(model, dataset):
    """Divide batches, the same on all machines, among the devices that a model was built on.

    Returns a data set for `model.fit`; each of several machines gets its own part of every batch.
    """
    found = keras.distribution.distribution()
    if found is not None:  # with JAX only
        import jax

        count, machines = found.device_mesh.devices.size, jax.process_count()
        return dataset.map(lambda *batch: part(fill(batch, count), jax.process_index(), machines))
    count = replicas(model)
    if count == 1:
        return dataset

    def parts(*batch):
        enough = repeat(batch, count)
        return tf.data.Dataset.range(count).map(lambda i: part(enough, i, count))

    return model.distribute_strategy.distribute_datasets_from_function(
        lambda context: dataset.flat_map(parts)
    )


def part(batch, index, count):
    """Return one of several parts of a batch; their sizes differ by one image at most."""
    size, index, count = tf.shape(batch[0])[0], tf.cast(index, tf.int32), tf.cast(count, tf.int32)
    return tuple(x[size * index // count : size * (index + 1) // count] for x in batch)


def repeat(batch, count):
    """Repeat a batch that has fewer images than devices; the mean over its pixels stays."""
    size = tf.shape(batch[0])[0]
    times = (count + size - 1) // size
    return tuple(tf.tile(x, [times] + [1] * (len(x.shape) - 1)) for x in batch)


def fill(batch, count):
    """Pad a batch to a multiple of the devices with copies of its images whose masks are void."""
    images, masks, *weights = batch
    size = tf.shape(images)[0]
    more = -size % count
    copies = tf.gather(images, tf.range(more) % size)
    void = tf.fill([more, *tf.unstack(tf.shape(masks)[1:])], tf.constant(VOID, masks.dtype))
    filled = [tf.concat([images, copies], 0), tf.concat([masks, void], 0)]
    return (*filled, *(tf.concat([x, tf.zeros_like(void, x.dtype)], 0) for x in weights))
