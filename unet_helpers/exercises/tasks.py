"""What the exercises say: what to return, and hints; their tasks are in the notebooks."""


class Task:
    """An exercise's minutes, what to return, hints up to nearly the answer, and maybe its call."""

    def __init__(self, minutes, task, *hints, call=None):
        self.minutes, self.task, self.hints, self.call = minutes, task, hints, call


CALLS = {  # of those whose references have other parameters
    "conv_block": "my_conv_block(inputs, n_filters=32, dropout_prob=0.0, max_pooling=True, "
    "batch_norm=False)",
    "border_weights": "my_border_weights(labels, class_weights, w0, sigma)",
    "tile_starts": "my_tile_starts(length, tile, overlap)",
}
TEXTS = {
    "count_pixels": (
        "the number of pixels of a mask that have class c.",
        "mask == c is an array of True and False, and True counts as 1.",
        "What does .sum() of such an array give?",
    ),
    "class_share": (
        "the share of the labelled pixels (not 255) that have class c, from 0 to 1.",
        "A comparison such as mask == 2 is an array of True and False. What is its sum?",
        "How many pixels have class c, and how many have any label?",
        "(mask == c).sum() divided by (mask != 255).sum().",
    ),
    "stack_cost": (
        "(parameters, multiply_adds) of n_layers 3x3 convolutions that keep the size.",
        "Count one layer first. How many weights has one filter, and how many filters are there?",
        "Each weight is used once per pixel of the output. What channels does layer 2 take?",
        "Weights: 9 * channels * n_filters, plus n_filters biases. Multiply-adds: the weights "
        "times height * width. Then channels = n_filters.",
    ),
    "dense_as_convolution": (
        "the kernel of a Conv2D that does what a dense layer after Flatten does.",
        "The numbers stay the same and in the same order. Only the shape changes.",
        "Conv2D's kernel is (height, width, channels in, filters): in this order Flatten reads.",
        "weights.reshape(height, width, -1, number of classes): -1 leaves the channels to NumPy.",
    ),
    "transposed_convolution": (
        "the sheet of a transposed convolution without padding, in NumPy.",
        "Replace the single number of `stamp` above by a vector. What does one place stamp?",
        "kernel @ inputs[row, column] sums over the input channels: (k, k, channels out).",
        "sheet[row * stride : row * stride + k, column * stride : column * stride + k] += kernel "
        "@ inputs[row, column], for every row and column.",
    ),
    "output_size": (
        "the side of a convolution's output, one number.",
        "Slide a window of 3 over 7 pixels. How many places are there with stride 1? With 2?",
        '"valid": the last window may begin at size - kernel. "same": every stride-th pixel is '
        "the centre of a window.",
        '"valid": (size - kernel) // stride + 1. "same": size / stride, rounded up.',
    ),
    "conv_block": (
        "(next_layer, skip_connection), the features after and before the pooling.",
        "Begin with x = layers.Conv2D(n_filters, 3, ...)(inputs). What replaces the dots? The "
        "normalisation comes before the ReLU, which is a layer of its own then.",
        'layers.Conv2D(n_filters, 3, padding="same", use_bias=not batch_norm, '
        'kernel_initializer="he_normal"), layers.BatchNormalization(momentum=0.9) if batch_norm, '
        "layers.ReLU(), and the same again. Do not set `training`: Keras does.",
        "After both convolutions: dropout if dropout_prob > 0; skip_connection = x; next_layer = "
        "layers.MaxPooling2D(2)(x) if max_pooling else x; return next_layer, skip_connection.",
    ),
    "receptive_field": (
        "the side of the receptive field of a chain of layers, (kernel, stride) each.",
        "Put a pooling (2, 2) between two 3x3 convolutions: how many pixels of the image lie "
        "between the values that the second one looks at?",
        "Carry two numbers along: the field so far, and this distance, the step.",
        "field = step = 1; for each layer field += (kernel - 1) * step, then step *= stride.",
    ),
    "upsampling_block": (
        "the features of the decoder block, twice as high and wide as its input.",
        "Upsample what comes from below, join the skip connection, mix both by convolutions.",
        'layers.Conv2DTranspose(n_filters, 3, strides=2, padding="same"), layers.Concatenate().',
        "up = Conv2DTranspose(...)(expansive_input); x = Concatenate()([up, contractive_input]); "
        'then twice Conv2D(n_filters, 3, padding="same", use_bias=not batch_norm), '
        "BatchNormalization(momentum=0.9) if batch_norm, and ReLU().",
    ),
    "transposed_size": (
        "the side of a transposed convolution's output, one number.",
        "Think in stamps (notebook 01). Where does the last one begin, and where does it end?",
        'The last stamp begins at (size - 1) * stride. "same" cuts the sheet to a round number.',
        '"valid": (size - 1) * stride + kernel. "same": size * stride.',
    ),
    "centre_crop": (
        "the centre of the features, with the height and width of target.",
        "How many rows go altogether, and how many of them above?",
        "first = (height - target height) // 2 rows go above. The same for columns.",
        "The end is first + target.shape[1]. A negative one fails: x[0:-0] is empty.",
    ),
    "cut_skip": (
        "a copy of a U-Net that is blind to the skip connection of one level.",
        "keras.models.clone_model(model) has weights of its own: give it those of the model. In "
        "which order do the four Concatenate layers come?",
        "The skip's channels stand behind the upsampled ones. How many channels has "
        "join.input[0]? The kernel is (height, width, channels in, filters).",
        "kernel, *rest = convolution.get_weights(); kernel[:, :, n_upsampled:] = 0; "
        "convolution.set_weights([kernel, *rest]); the join is joins[4 - level].",
    ),
    "unet_model": (
        "a keras.Model from images (0 to 255) to logits, made of your two blocks.",
        "Begin with inputs = keras.Input(input_size) and end with keras.Model(inputs, logits).",
        "x, skip1 = my_conv_block(x, n_filters, batch_norm=batch_norm) and so on down; the "
        "bottleneck has max_pooling=False; x = my_upsampling_block(x, skip4, 8 * n_filters, "
        "batch_norm=batch_norm) and so on up.",
        "First layer: layers.Rescaling(1 / 255). Last layer: layers.Conv2D(n_classes, 1, "
        'dtype="float32") without activation. The deepest skip goes to the first decoder block.',
    ),
    "pixel_loss": (
        "the cross-entropy of one pixel, from its logits (C,) and its label.",
        "Apply the rule for the logarithm of a fraction to -log(exp(right) / sum).",
        "log(sum(exp(logits))) - logits[label]. Of logits minus their largest, exp is at most 1.",
        "largest + np.log(np.exp(logits - largest).sum()) - logits[label].",
    ),
    "resize_mask": (
        "the mask in another size, each pixel with the label under its centre.",
        "Draw a row of 9 pixels above one of 3: over which old pixels do the 3 centres lie?",
        "With scale = old / new, the centre of new pixel i lies (i + 0.5) * scale from the left.",
        "rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int), columns "
        "likewise, then mask[rows][:, columns]. Or let Pillow do it with NEAREST.",
    ),
    "input_pipeline": (
        "batches for fit, a tf.data.Dataset, shuffled and augmented in every epoch.",
        "Of cache, shuffle, map, batch and prefetch: which must never come before the cache?",
        "shuffle needs a buffer for all pairs, len(pairs), and stands before batch, or the same "
        "pairs always meet. map(augment) calls augment with single pairs.",
        "pairs.cache().shuffle(len(pairs)).map(augment).batch(batch_size).prefetch(2)",
    ),
    "paired_flip": (
        "(image, mask), mirrored together when the seed says so, or neither.",
        "One random number decides for both: draw it once.",
        "tf.random.stateless_uniform((), seed) depends on its seed alone, and tf.where chooses.",
        "flip = tf.random.stateless_uniform((), seed) < 0.5; tf.where(flip, image[:, ::-1], "
        "image), and the same for the mask.",
    ),
    "iou_from_confusion": (
        "the IoU of every class, an array (C,), nan for a class that is absent.",
        "What do the diagonal, the sums of the rows and the sums of the columns count?",
        "The union is true pixels plus predicted pixels, minus those that were counted twice.",
        "hits / (confusion.sum(axis=1) + confusion.sum(axis=0) - hits) with hits = "
        "np.diag(confusion). NumPy gives nan for 0 / 0 by itself.",
    ),
    "cross_entropy_with_void": (
        "the mean cross-entropy over the pixels that have a label, one number.",
        "First pick out the labelled pixels of both: logits[labels != 255] is (pixels, C).",
        "Subtracting a pixel's largest logit changes no probability, and exp is at most 1.",
        "log_p = z - np.log(np.exp(z).sum(-1, keepdims=True)) with z = logits - largest; then "
        "-log_p[np.arange(len(labels)), labels].mean().",
    ),
    "median_frequency_weights": (
        "a weight per class: the median class frequency over that of the class.",
        "Two sums per class: its pixels, and the labelled pixels of the images that have it.",
        "Add to both sums only where the class occurs. What is then 0 / 0?",
        "seen = totals > 0; frequency = pixels[seen] / totals[seen]; weights = zeros, and "
        "weights[seen] = np.median(frequency) / frequency.",
    ),
    "soft_dice": (
        "the soft Dice coefficient of class 1 over all labelled pixels, one number.",
        "First pick out the labelled pixels of both: truth != 255.",
        "The overlap is the sum of the probabilities on the object's pixels.",
        "p, t = probabilities[truth != 255], truth[truth != 255]; (2 * (p * t).sum() + 1) / "
        "(p.sum() + t.sum() + 1).",
    ),
    "threshold_for_recall": (
        "the highest threshold that finds a share recall of the object's pixels.",
        "Recall looks at the object's pixels only. Which array holds their probabilities?",
        "Sort those, the surest first. If the third is the threshold, how many are found?",
        "found = np.sort(probabilities[truth == 1])[::-1]; of n pixels recall * n are needed, "
        "rounded up; the threshold is the last of them.",
    ),
    "border_weights": (
        "the weight of every pixel, an array (H, W).",
        "How far is each pixel from cell 3 alone? scipy.ndimage.distance_transform_edt measures "
        "from each pixel that is true to the nearest that is false.",
        "distance_transform_edt(labels != cell) is one map of distances. Make a list of them, one "
        "for each number above 0, and sort along axis 0.",
        "d1, d2 = np.sort(distances, axis=0)[:2], unless there are fewer than two. Add the term "
        "to w_c only where labels == 0.",
    ),
    "iou_and_dice": (
        "two arrays, IoU and Dice of every class, nan for a class that is absent.",
        "What do the diagonal, the sums of the rows and the sums of the columns count?",
        "IoU is hits / union. true + predicted counts the hits twice.",
        "iou = hits / (true + predicted - hits), dice = 2 * hits / (true + predicted). NumPy "
        "gives nan for 0 / 0 by itself.",
    ),
    "mean_per_image": (
        "the mean over each image's classes, then over the images, one number.",
        "Begin with what absent asks for: which entries change, and to what?",
        "np.isnan finds the absent ones. If they stay nan, which mean leaves nan out?",
        "filled = np.where(np.isnan(ious), absent, ious); np.nanmean over axis 1; its mean.",
    ),
    "calibration_error": (
        "the expected calibration error in ten bins, one number.",
        "Begin with one bin: which pixels have a confidence between 0.7 and 0.8?",
        "Leave out empty bins. The weight of the others is their share of all pixels.",
        "Add up abs(confidence[inside].mean() - right[inside].mean()) * inside.mean() over bins.",
    ),
    "split_by_recording": (
        "two lists of names, (train, test), with every recording on one side.",
        "What is drawn at random: frames or recordings? Make a list of those first.",
        "Sort the recordings before you permute them. What if the share rounds to none or all?",
        'recordings = sorted({name.split("/")[0] for name in names}); permute them with '
        "np.random.default_rng(seed); the first n_test, at least 1 and not all, are test.",
    ),
    "augmentation": (
        "(image, mask), mirrored and shifted alike; what comes in is void in the mask.",
        "Draw the numbers first (mirrored or not, rows, columns), then use them twice.",
        "Cut a window of the old size out of np.pad(mask, 8, constant_values=255).",
        "top, left = rng.integers(0, 17, 2), then [top : top + height, left : left + width] of "
        "both padded images. The image is padded with ((8, 8), (8, 8), (0, 0)).",
    ),
    "bug_hunt": (
        "the dictionary of the mended script's parts.",
        "The verdict names what finds the next bug. Feed it which part? What should come out?",
        "Go through the parts in turn: what must hold for the two sides of a split, for the values "
        "of a mask, for two epochs, for the model's output, for a score in batches of one?",
        "Compare with the notebook: split by recording, nearest neighbour, one subtraction, one "
        "division, one mirror for both, cache before augmenting, logits, one confusion matrix.",
    ),
    "backbone_skips": (
        "four tensors, the backbone's last ones at strides 2, 4, 8 and 16.",
        "What does the shape of layer.output tell, for each layer in backbone.layers?",
        "backbone.input.shape[1:3] is the image's size. For each stride, gather the outputs whose "
        "shape[1:3] is that size divided by it. Which of them do you take?",
        "With size = (height // stride, width // stride) it is "
        "[x for x in outputs if x.shape[1:3] == size][-1], for stride in (2, 4, 8, 16).",
    ),
    "tile_starts": (
        "the list of places where tiles begin along one side of an image.",
        "Draw a side of 10 pixels and tiles of 4 that share 1. Where does the second one begin?",
        "The step is tile - overlap, and no tile may begin after length - tile.",
        "Steps from 0 up to, but without, length - tile; then one more tile at length - tile.",
    ),
    "acceptance_test": (
        "the ids of the classes whose IoU the export lowers by more than tolerance.",
        "You need two confusion matrices. Whose masks go into each, and what do both share?",
        "logits.argmax(axis=-1) is the export's mask. evaluation.confusion_matrix leaves void out, "
        "and evaluation.scores(matrix).iou has one value per class.",
        "np.flatnonzero(before - after > tolerance), with before and after the IoUs of the two.",
    ),
    "fold": (
        "(kernel, bias) of one convolution that does what another and its normalisation do.",
        "y becomes gamma * (y - mean) / sqrt(variance + epsilon) + beta. Which part multiplies y?",
        "Scaling the kernel by a factor scales y by it. What does not contain y is the bias.",
        "factor = gamma / np.sqrt(variance + epsilon); kernel * factor and beta - mean * factor.",
    ),
    "roofline": (
        '(seconds, "compute") or (seconds, "memory"), the least time and what limits it.',
        "How long do the operations take alone, and how long does moving the bytes?",
        "Both happen at the same time, so the longer one counts. Which is it?",
        "computing = operations / peak_operations, moving = bytes_moved / bandwidth: return "
        'max(computing, moving), and "compute" if computing is longer, else "memory".',
    ),
}
