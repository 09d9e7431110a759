"""Find the one change to the layers of a learner's model that makes it right.

A layer is left out, a ReLU added, a pooling replaced, or a layer given another tensor. The change
that gives the right numbers tells what is wrong, whatever the model looks like.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers, ops

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")


class Call(NamedTuple):
    """One call of a layer or operation in a model."""

    operation: Callable
    args: tuple
    options: dict
    outputs: list  # Keras tensors


def tensors_in(structure):
    """List the Keras tensors in nested tuples, lists and dicts."""
    return [x for x in keras.tree.flatten(structure) if isinstance(x, keras.KerasTensor)]


def passed_on(*values):
    return list(values) if len(values) > 1 else values[0]


def calls_of(model):
    """List a functional model's calls in the order of computing, those of models inside included.

    Returns (inputs, calls, outputs). Any other model raises some exception.
    """
    calls = []

    def call(operation, *args, **options):
        result = operation(*args, **options)
        outputs = keras.tree.flatten(result)
        if isinstance(operation, keras.Model):
            with contextlib.suppress(Exception):  # subclassed: counts as one call
                inner_inputs, inner, inner_outputs = calls_of(operation)
                calls.extend([Call(passed_on, tensors_in(args), {}, inner_inputs), *inner])
                operation, args, options = passed_on, inner_outputs, {}
        calls.append(Call(operation, args, options, outputs))
        return result

    functional = keras.Model(model.inputs, model.outputs)  # a Sequential model is turned into one
    copy = keras.models.clone_model(functional, None, lambda layer: layer, call)
    return copy.inputs, calls, copy.outputs


def compute(calls, values, training):
    """Run calls; values is a dict from the ids of tensors to arrays, and is added to."""

    def value(x):
        return values[id(x)] if isinstance(x, keras.KerasTensor) else x

    for operation, args, options, outputs in calls:
        args, options = keras.tree.map_structure(value, (tuple(args), options))
        function = getattr(operation, "call", operation)
        if training and "training" in inspect.signature(function).parameters:
            options["training"] = True  # as Keras does, even where a block fixes False
        results = keras.tree.flatten(function(*args, **options))
        values.update(zip(map(id, outputs), results, strict=True))
    return values


def names_of(inputs, calls):
    """Name calls ("the second Conv2D at 8x12") and tensors for the learner: (list, dict by id)."""
    kinds = []
    for operation, _, _, outputs in calls:
        size = "x".join(map(str, outputs[0].shape[1:-1]))
        kinds.append((type(operation).__name__, f" at {size}"))
    names = []
    for i, (kind, place) in enumerate(kinds):
        before = kinds[:i].count((kind, place))
        ordinal = ORDINALS[before % 8] + " " if kinds.count((kind, place)) > 1 else ""
        in_one_place = len({p for k, p in kinds if k == kind}) == 1
        names.append(f"the {ordinal}{kind}{'' if in_one_place else place}")
    tensors = {id(t): f"the input {t.name}" if len(inputs) > 1 else "the input" for t in inputs}
    for name, (operation, args, _, outputs) in zip(names, calls, strict=True):
        for number, tensor in enumerate(outputs):
            is_alias = operation is passed_on or isinstance(operation, layers.Identity)
            told = tensors[id(args[number])] if is_alias else f"the result of {name}"
            tensors[id(tensor)] = told
    return names, tensors


def alternatives(call):
    """Yield (sentence with {} for the call's name, changed call, layer left out or None)."""
    operation, args, options, outputs = call
    if operation is passed_on:
        return
    tensors = tensors_in((args, options))
    alike = [tensor for tensor in tensors if tensor.shape == outputs[0].shape]
    for tensor in reversed(alike):
        told = "There is a layer too many: without {} it is right."
        yield told, Call(passed_on, [tensor], {}, outputs), operation
    activation = getattr(getattr(operation, "activation", None), "__name__", "linear")
    has_weights = bool(getattr(operation, "weights", ()))
    if has_weights and activation != "linear":
        linear = with_activation(operation, keras.activations.linear)
        yield "Without the activation of {} it is right.", call._replace(operation=linear), None
    if activation == "relu" or isinstance(operation, layers.ReLU):
        return
    if has_weights:
        relu = with_activation(operation, ops.relu)
        told = f" in place of {activation}" if activation != "linear" else ""
        yield f"With a ReLU{told} after {{}} it is right.", call._replace(operation=relu), None
    elif isinstance(operation, layers.Dropout | layers.SpatialDropout2D | layers.Identity):
        return  # these pass on what they get: a ReLU in their place is one that was missing
    elif len(alike) == 1 == len(tensors):
        yield "With a ReLU in place of {} it is right.", Call(ops.relu, alike, {}, outputs), None
    elif len(tensors) == 1:
        pooled = Call(lambda x: ops.max_pool(x, 2), tensors, {}, outputs)
        yield "With layers.MaxPooling2D(2) in place of {} it is right.", pooled, None


def with_activation(layer, activation):
    """Make a function that calls a layer with another activation."""

    def call(*args, **options):
        if not hasattr(layer, "activation"):
            return activation(layer.call(*args, **options))
        before, layer.activation = layer.activation, activation
        try:
            return layer.call(*args, **options)
        finally:
            layer.activation = before

    return call


def changes(inputs, calls, outputs, called):
    """Yield (sentence, dict of changed calls by number, outputs, list of layers left out)."""
    names, told_tensors = names_of(inputs, calls)
    groups = {}
    for number, call in enumerate(calls):
        for sentence, new, without in alternatives(call):
            size = "x".join(map(str, getattr(call.operation, "kernel_size", ())))
            kind = f"{size} {type(call.operation).__name__}".strip()
            groups.setdefault((sentence, kind), []).append((number, new, without))

    def of_calls(leaves_out):
        # A ReLU more is tried last: one in place of a LeakyReLU tells the same more exactly.
        in_order = sorted(groups.items(), key=lambda group: "a ReLU after" in group[0][0])
        for (sentence, kind), members in in_order:
            if (members[0][2] is not None) == leaves_out:
                for number, new, without in members:
                    yield sentence.format(names[number]), {number: new}, outputs, [without]
                if len(members) > 1:
                    changed = {number: new for number, new, _ in members}
                    without = [layer for *_, layer in members]
                    sentence = sentence.replace("is a layer", "are layers")
                    yield sentence.format(f"all {kind} layers"), changed, outputs, without

    def others(tensor, excluded=()):
        """List (name, tensor) of what fits in a tensor's place, without excluded ids."""
        everything = [*inputs, *(output for call in calls for output in call.outputs)]
        found = {told_tensors[id(t)]: t for t in everything if t.shape == tensor.shape}
        del found[told_tensors[id(tensor)]]
        return [(told, t) for told, t in found.items() if id(t) not in excluded]

    yield from of_calls(leaves_out=True)
    for number, old in enumerate(outputs[: len(called)]):
        for told, tensor in others(old):
            sentence = f"{called[number]} is {told_tensors[id(old)]}; with {told} it is right."
            yield sentence, {}, [*outputs[:number], tensor, *outputs[number + 1 :]], []
    for number, call in enumerate(calls):
        later = reached({number}, calls)[1]
        structure = (tuple(call.args), call.options)
        flat = keras.tree.flatten(structure)
        for place, old in enumerate(flat):
            for told, tensor in others(old, later) if tensors_in(old) else ():
                new = [*flat[:place], tensor, *flat[place + 1 :]]
                args, options = keras.tree.pack_sequence_as(structure, new)
                sentence = f"takes {told_tensors[id(old)]}; with {told} it is right."
                changed = {number: call._replace(args=args, options=options)}
                yield f"The{names[number][3:]} {sentence}", changed, outputs, []
    yield from of_calls(leaves_out=False)


def reached(numbers, calls):
    """Return the numbers of all calls whose results some calls reach, and their tensors' ids."""
    found, tensors = [], set()
    for number, call in enumerate(calls):
        if number in numbers or tensors.intersection(
            map(id, tensors_in((call.args, call.options)))
        ):
            found.append(number)
            tensors.update(map(id, call.outputs))
    return found, tensors


def repairs(model, inputs, training=False, called=("The result",)):
    """Yield the changes to one layer of a model, or to all of a kind; none if not functional.

    A change is (sentence, function (number of the input) -> outputs, list of layers left out); the
    arguments are as for `running.explain_model`.
    """
    try:
        tensors, calls, outputs = calls_of(model)
    except Exception:  # a subclassed model has no calls to look at
        return
    runs = [
        compute(calls, dict(zip(map(id, tensors), keras.tree.flatten(x), strict=True)), training)
        for x in inputs
    ]
    for sentence, changed, new_outputs, without in changes(tensors, calls, outputs, called):
        again = [changed.get(number, calls[number]) for number in reached(changed, calls)[0]]

        @functools.cache
        def compute_outputs(number, again=again, new_outputs=new_outputs):
            values = compute(again, dict(runs[number]), training)
            return [values[id(tensor)] for tensor in new_outputs]

        yield sentence, compute_outputs, without


def shared_layer(model):
    """Find a layer with weights that is called more than once; a sentence, or None."""
    with contextlib.suppress(Exception):
        operations = [call.operation for call in calls_of(model)[1]]
        for layer in operations:
            n_calls = sum(other is layer for other in operations)
            if n_calls > 1 and getattr(layer, "weights", ()):
                told = f"One {type(layer).__name__} layer object is called {n_calls} times, so that"
                return f"{told} all places share its weights. Make a new layer for each."
    return None
