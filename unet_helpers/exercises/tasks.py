"""What the exercises ask for: the time that each takes, its task, and hints."""


class Task:
    """The texts of an exercise: its minutes, what to write, and hints up to nearly the answer.

    call: how the function will be called; None where the reference has the same parameters.
    """

    def __init__(self, minutes, task, *hints, call=None):
        self.minutes, self.task, self.hints, self.call = minutes, task, hints, call


TASKS = {
    "count_pixels": Task(
        1,
        "Count the pixels of a mask that have class c.",
        "mask == c is an array of True and False, and True counts as 1.",
        "What does .sum() of such an array give?",
    ),
    "class_share": Task(
        5,
        "Give the share of the labelled pixels of a mask that have class c, from 0 to 1. Pixels "
        "with 255 are void: they have no label.",
        "A comparison such as mask == 2 is an array of True and False. What is its sum?",
        "How many pixels have class c, and how many have any label?",
        "(mask == c).sum() divided by (mask != 255).sum().",
    ),
    "stack_cost": Task(
        10,
        "Count the parameters and the multiply-adds of n_layers 3x3 convolutions with biases and "
        'padding "same", n_filters each, on an image of the given height, width and channels. '
        "Return (parameters, multiply_adds).",
        "Count one layer first. How many weights has one filter, and how many filters are there?",
        "Each weight is used once per pixel of the output. What channels does layer 2 take?",
        "Weights: 9 * channels * n_filters, plus n_filters biases. Multiply-adds: the weights "
        "times height * width. Then channels = n_filters.",
    ),
    "dense_as_convolution": Task(
        5,
        "Turn the weights (height * width * channels, classes) of a dense layer that follows "
        "Flatten into the kernel of a Conv2D that gives the same scores.",
        "The numbers stay the same and in the same order. Only the shape changes.",
        "Conv2D's kernel is (height, width, channels in, filters). Flatten runs through the "
        "channels fastest, as NumPy's reshape does.",
        "weights.reshape(height, width, -1, number of classes): -1 leaves the channels to NumPy.",
    ),
    "transposed_convolution": Task(
        15,
        "Write the transposed convolution in NumPy, without padding: inputs (h, w, channels in), "
        "kernel (k, k, channels out, channels in), stride -> ((h - 1) * stride + k, (w - 1) * "
        "stride + k, channels out).",
        "Replace the single number of `stamp` above by a vector. What does one place stamp?",
        "kernel @ inputs[row, column] sums over the input channels: (k, k, channels out).",
        "sheet[row * stride : row * stride + k, column * stride : column * stride + k] += kernel "
        "@ inputs[row, column], for every row and column.",
    ),
    "output_size": Task(
        5,
        "Give the side of a convolution's output from the side of its input, the kernel's side, "
        'the stride and the padding ("valid" or "same").',
        "Slide a window of 3 over 7 pixels. How many places are there with stride 1? With 2?",
        '"valid": the last window may begin at size - kernel. "same": every stride-th pixel is '
        "the centre of a window.",
        '"valid": (size - kernel) // stride + 1. "same": size / stride, rounded up.',
    ),
    "conv_block": Task(
        20,
        "Write the encoder block: twice a 3x3 convolution that keeps the size, with batch "
        "normalisation (momentum=0.9) if batch_norm is True, and ReLU; then dropout of the share "
        "dropout_prob; then 2x2 max pooling unless max_pooling is False. Return (next_layer, "
        "skip_connection), the features after and before the pooling.",
        "Begin with x = layers.Conv2D(n_filters, 3, ...)(inputs). What replaces the dots? The "
        "normalisation comes before the ReLU, which is a layer of its own then.",
        'layers.Conv2D(n_filters, 3, padding="same", use_bias=not batch_norm, '
        'kernel_initializer="he_normal"), layers.BatchNormalization(momentum=0.9) if batch_norm, '
        "layers.ReLU(), and the same again. Do not set `training`: Keras does.",
        "After both convolutions: dropout if dropout_prob > 0; skip_connection = x; next_layer = "
        "layers.MaxPooling2D(2)(x) if max_pooling else x; return next_layer, skip_connection.",
        call="my_conv_block(inputs, n_filters=32, dropout_prob=0.0, max_pooling=True, "
        "batch_norm=False)",
    ),
    "receptive_field": Task(
        10,
        "Give the side of the receptive field of a chain of layers, from a list of (kernel, "
        "stride) with the first layer first. A pooling is a layer like any other.",
        "Put a pooling (2, 2) between two 3x3 convolutions: how many pixels of the image lie "
        "between the values that the second one looks at?",
        "Carry two numbers along: the field so far, and this distance, the step.",
        "field = step = 1; for each layer field += (kernel - 1) * step, then step *= stride.",
    ),
    "upsampling_block": Task(
        15,
        "Write the decoder block: a 3x3 transposed convolution with stride 2, concatenation with "
        "the skip connection, then twice a 3x3 convolution, batch normalisation (momentum=0.9) if "
        "batch_norm is True, and ReLU; n_filters filters each, without dropout.",
        "Upsample what comes from below, join the skip connection, mix both by convolutions.",
        'layers.Conv2DTranspose(n_filters, 3, strides=2, padding="same") upsamples; '
        "layers.Concatenate() joins along the channels.",
        "up = Conv2DTranspose(...)(expansive_input); x = Concatenate()([up, contractive_input]); "
        'then twice Conv2D(n_filters, 3, padding="same", use_bias=not batch_norm), '
        "BatchNormalization(momentum=0.9) if batch_norm, and ReLU().",
    ),
    "transposed_size": Task(
        5,
        "Give the side of a transposed convolution's output from the side of its input, the "
        'kernel\'s side (at least the stride), the stride and padding ("valid" or "same").',
        "Think in stamps (notebook 01). Where does the last one begin, and where does it end?",
        'The last stamp begins at (size - 1) * stride. "same" cuts the sheet to a round number.',
        '"valid": (size - 1) * stride + kernel. "same": size * stride.',
    ),
    "centre_crop": Task(
        10,
        "Cut the border off features (batch, H, W, channels) so that the centre with the height "
        "and width of target remains. Where target is as large, everything stays.",
        "How many rows go altogether, and how many of them above?",
        "first = (height - target height) // 2 rows go above. The same for columns.",
        "The end is first + target.shape[1]. A negative one fails: x[0:-0] is empty.",
    ),
    "cut_skip": Task(
        15,
        "Return a copy of a U-Net that is blind to the skip connection of one level (1 the "
        "finest): the convolution after the join gets zeros in place of the weights that read the "
        "skip. The model itself stays as it is.",
        "keras.models.clone_model(model) has weights of its own: give it those of the model. In "
        "which order do the four Concatenate layers come?",
        "The skip's channels stand behind the upsampled ones. How many channels has "
        "join.input[0]? The kernel is (height, width, channels in, filters).",
        "kernel, *rest = convolution.get_weights(); kernel[:, :, n_upsampled:] = 0; "
        "convolution.set_weights([kernel, *rest]); the join is joins[4 - level].",
    ),
    "unet_model": Task(
        20,
        "Assemble U-Net of your two blocks: divide by 255, four encoder blocks of n_filters, 2, 4 "
        "and 8 n_filters, a bottleneck of 16, four decoder blocks, and a 1x1 convolution that "
        "gives logits. Return a keras.Model. The fourth encoder block and the bottleneck drop the "
        "share dropout_prob; all blocks take batch_norm.",
        "Begin with inputs = keras.Input(input_size) and end with keras.Model(inputs, logits). "
        "Every encoder block gives a skip connection.",
        "x, skip1 = my_conv_block(x, n_filters, batch_norm=batch_norm) and so on down; the "
        "bottleneck has max_pooling=False; x = my_upsampling_block(x, skip4, 8 * n_filters, "
        "batch_norm=batch_norm) and so on up.",
        "First layer: layers.Rescaling(1 / 255). Last layer: layers.Conv2D(n_classes, 1, "
        'dtype="float32") without activation. The deepest skip goes to the first decoder block.',
    ),
    "pixel_loss": Task(
        10,
        "Give the cross-entropy of one pixel from its logits (C,) and its label: minus the "
        "logarithm of the softmax of the right class. Logits of 1000 and -1000 must work, too.",
        "Apply the rule for the logarithm of a fraction to -log(exp(right) / sum).",
        "log(sum(exp(logits))) - logits[label]. np.exp(1000) is infinite, but exp of logits minus "
        "their largest is at most 1.",
        "largest + np.log(np.exp(logits - largest).sum()) - logits[label].",
    ),
    "resize_mask": Task(
        15,
        "Resize a mask to size = (height, width), larger or smaller: every new pixel gets the "
        "label of the old pixel in which its centre lies.",
        "Draw a row of 9 pixels above one of 3: over which old pixels do the 3 centres lie?",
        "With scale = old / new, the centre of new pixel i lies (i + 0.5) * scale from the left.",
        "rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int), columns "
        "likewise, then mask[rows][:, columns]. Or let Pillow do it with NEAREST.",
    ),
    "input_pipeline": Task(
        15,
        "From a tf.data.Dataset of (image, mask) that decodes its files whenever it is read, make "
        "batches for fit: every pair once an epoch, in a new order, changed anew by "
        "augment(image, mask), and decoded only once in all.",
        "Five methods, one after another: cache, shuffle, map, batch, prefetch. What must come "
        "before the cache, and what must never?",
        "shuffle needs a buffer for all pairs, len(pairs), and stands before batch, or the same "
        "pairs always meet. map(augment) calls augment with single pairs.",
        "pairs.cache().shuffle(len(pairs)).map(augment).batch(batch_size).prefetch(2)",
    ),
    "paired_flip": Task(
        10,
        "Mirror an image (H, W, 3) and its mask (H, W) left-right together, about half of the "
        "time. The seed, an integer tensor of two numbers, decides alone, and the function must "
        "also work in dataset.map. Return (image, mask).",
        "One random number decides for both: draw it once.",
        "tf.random.stateless_uniform((), seed) depends on its seed alone. tf.where chooses "
        "between two tensors, in dataset.map too.",
        "flip = tf.random.stateless_uniform((), seed) < 0.5; tf.where(flip, image[:, ::-1], "
        "image), and the same for the mask.",
    ),
    "iou_from_confusion": Task(
        10,
        "From a confusion matrix (rows true, columns predicted) compute the IoU of every class, "
        "an array (C,). A class that is neither true nor predicted anywhere gets nan.",
        "What do the diagonal, the sums of the rows and the sums of the columns count?",
        "The union is true pixels plus predicted pixels, minus those that were counted twice.",
        "hits / (confusion.sum(axis=1) + confusion.sum(axis=0) - hits) with hits = "
        "np.diag(confusion). NumPy gives nan for 0 / 0 by itself.",
    ),
    "cross_entropy_with_void": Task(
        20,
        "In NumPy, give the mean cross-entropy over all labelled pixels: labels of any shape with "
        "255 for void, logits with one axis more, the classes. Logits of 1000 must not overflow.",
        "First pick out the labelled pixels of both: logits[labels != 255] is (pixels, C).",
        "Subtracting a pixel's largest logit changes no probability, and exp is at most 1.",
        "log_p = z - np.log(np.exp(z).sum(-1, keepdims=True)) with z = logits - largest; then "
        "-log_p[np.arange(len(labels)), labels].mean().",
    ),
    "median_frequency_weights": Task(
        20,
        "Give a weight per class for a list of masks: the median of all class frequencies over "
        "the frequency of this class, 0 for a class that never occurs. A class's frequency is its "
        "pixels over all labelled (not 255) pixels of the images in which it occurs.",
        "Two sums per class: its pixels, and the labelled pixels of the images that have it.",
        "Add to both sums only where the class occurs. What is then 0 / 0?",
        "seen = totals > 0; frequency = pixels[seen] / totals[seen]; weights = zeros, and "
        "weights[seen] = np.median(frequency) / frequency.",
    ),
    "soft_dice": Task(
        10,
        "In NumPy, give the soft Dice coefficient of class 1 over all labelled pixels at once: "
        "(2 * overlap + 1) / (sum of probabilities + sum of truth + 1), where the overlap is the "
        "sum of probability times truth. Truth is 0, 1 or 255 for void.",
        "First pick out the labelled pixels of both: truth != 255.",
        "The overlap is the sum of the probabilities on the object's pixels.",
        "p, t = probabilities[truth != 255], truth[truth != 255]; (2 * (p * t).sum() + 1) / "
        "(p.sum() + t.sum() + 1).",
    ),
    "threshold_for_recall": Task(
        15,
        "Give the highest threshold that still finds at least a share recall of the object's "
        "pixels (truth 1; background 0, void 255). Pixels that reach the threshold are found.",
        "Recall looks at the object's pixels only. Which array holds their probabilities?",
        "Sort those, the surest first. If the third is the threshold, how many are found?",
        "found = np.sort(probabilities[truth == 1])[::-1]; of n pixels recall * n are needed, "
        "rounded up; the threshold is the last of them.",
    ),
    "border_weights": Task(
        20,
        "Give every pixel its weight, an array (H, W). labels is 0 on the background and another "
        "number in each cell; class_weights is w_c of the background and of the cells. On the "
        "background add w0 * exp(-(d1 + d2) ** 2 / (2 * sigma ** 2)), with the distances d1 to the "
        "nearest cell and d2 to the second nearest; with fewer than two cells add nothing.",
        "How far is each pixel from cell 3 alone? scipy.ndimage.distance_transform_edt measures "
        "from each pixel that is true to the nearest that is false.",
        "distance_transform_edt(labels != cell) is one map of distances. Make a list of them, one "
        "for each number above 0, and sort along axis 0.",
        "d1, d2 = np.sort(distances, axis=0)[:2], unless there are fewer than two. Add the term "
        "to w_c only where labels == 0.",
        call="my_border_weights(labels, class_weights, w0, sigma)",
    ),
    "iou_and_dice": Task(
        15,
        "From a confusion matrix (rows true, columns predicted) compute two arrays, the IoU and "
        "the Dice of every class. A class that is neither true nor predicted anywhere gets nan.",
        "What do the diagonal, the sums of the rows and the sums of the columns count?",
        "IoU is hits / union. true + predicted counts the hits twice.",
        "iou = hits / (true + predicted - hits), dice = 2 * hits / (true + predicted). NumPy "
        "gives nan for 0 / 0 by itself.",
    ),
    "mean_per_image": Task(
        10,
        "ious (images, classes) is nan where a class is absent. Give the mean over each image's "
        "classes, then over images. absent is what an absent class counts: nan (left out), 0 or 1.",
        "Begin with what absent asks for: which entries change, and to what?",
        "np.isnan finds the absent ones. If they stay nan, which mean leaves nan out?",
        "filled = np.where(np.isnan(ious), absent, ious); np.nanmean over axis 1; its mean.",
    ),
    "calibration_error": Task(
        15,
        "Give the expected calibration error: sort pixels by their confidence into ten equally "
        "wide bins from 0 to 1 (1 belongs to the last), take in each the gap between mean "
        "confidence and share of right pixels, and average the gaps, weighted by the bins' pixels.",
        "Begin with one bin: which pixels have a confidence between 0.7 and 0.8?",
        "Leave out empty bins. The weight of the others is their share of all pixels.",
        "For each bin with pixels inside: abs(confidence[inside].mean() - right[inside].mean()) * "
        "inside.mean(), all added up.",
    ),
    "split_by_recording": Task(
        15,
        'Split names such as "dataA/0003.png" into two lists, (train, test). The folder is the '
        "recording: it stays whole, on one side, and about test_share of the recordings are test, "
        "but neither side is empty. The seed decides which, and the order of the names does not.",
        "What is drawn at random: frames or recordings? Make a list of those first.",
        "Sort the recordings before you permute them. What if the share rounds to none or all?",
        'recordings = sorted({name.split("/")[0] for name in names}); permute them with '
        "np.random.default_rng(seed); the first n_test, at least 1 and not all, are test.",
    ),
    "augmentation": Task(
        20,
        "Mirror an image and its mask left-right with probability one half, and shift both by up "
        "to 8 pixels in rows and columns, either way. Where nothing of the image comes in, the "
        "mask is void (255). All random numbers come from rng, a np.random.Generator.",
        "Draw the numbers first (mirrored or not, rows, columns), then use them twice.",
        "Cut a window of the old size out of np.pad(mask, 8, constant_values=255).",
        "top, left = rng.integers(0, 17, 2), then [top : top + height, left : left + width] of "
        "both padded images. The image is padded with ((8, 8), (8, 8), (0, 0)).",
    ),
    "bug_hunt": Task(
        20,
        "Mend a training script in which four bugs are planted and nothing complains. Paste the "
        "script over the stub: it is this function, and returns a dictionary of its parts.",
        "The verdict names what finds the next bug. Feed it which part? What should come out?",
        "Go through the parts in turn: what must hold for the two sides of a split, for the values "
        "of a mask, for two epochs, for the model's output, for a score in batches of one?",
        "Compare with the notebook: split by recording, nearest neighbour, one subtraction, one "
        "division, one mirror for both, cache before augmenting, logits, one confusion matrix.",
    ),
    "backbone_skips": Task(
        15,
        "Find the skip connections of a backbone, a Keras model from images (H, W, 3) to features: "
        "return a list of four tensors, its last ones of a half, a quarter, an eighth and a "
        "sixteenth of the image's height and width, the largest first. Every backbone names its "
        "layers in its own way, so go by sizes.",
        "backbone.layers lists the layers in the order in which they are computed, and "
        "layer.output is a tensor. What does its shape tell?",
        "backbone.input.shape[1:3] is the image's size. For each stride, gather the outputs whose "
        "shape[1:3] is that size divided by it. Which of them do you take?",
        "With size = (height // stride, width // stride) it is "
        "[x for x in outputs if x.shape[1:3] == size][-1], for stride in (2, 4, 8, 16).",
    ),
    "tile_starts": Task(
        15,
        "List where tiles begin along one side of an image, so that they cover all of it. Each "
        "lies inside, neighbours share at least overlap pixels, and there are no more than "
        "needed. An image shorter than the tile has one: [0].",
        "Draw a side of 10 pixels and tiles of 4 that share 1. Where does the second one begin?",
        "The step is tile - overlap, and no tile may begin after length - tile.",
        "Steps from 0 up to, but without, length - tile; then one more tile at length - tile.",
        call="my_tile_starts(length, tile, overlap)",
    ),
    "acceptance_test": Task(
        15,
        "Say whether an export may ship. From test images' truths (N, H, W), 255 for void, the "
        "Keras model's masks of the same shape and the export's logits (N, H, W, C), list the ids "
        "of the classes whose IoU the export lowers by more than tolerance. An empty list: it may "
        "ship. A class without an IoU (nan) has nothing to lose.",
        "You need two confusion matrices. Whose masks go into each, and what do both share?",
        "logits.argmax(axis=-1) is the export's mask. evaluation.confusion_matrix leaves void out, "
        "and evaluation.scores(matrix).iou has one value per class.",
        "np.flatnonzero(before - after > tolerance), with before and after the IoUs of the two.",
    ),
    "fold": Task(
        10,
        "Give the kernel and the bias of the one convolution that does what a convolution without "
        "a bias and the batch normalisation after it do in prediction. The kernel is (h, w, "
        "channels in, channels out), the others have one number per channel out.",
        "y becomes gamma * (y - mean) / sqrt(variance + epsilon) + beta. Which part multiplies y?",
        "Scaling the kernel by a factor scales y by it. What does not contain y is the bias.",
        "factor = gamma / np.sqrt(variance + epsilon); kernel * factor and beta - mean * factor.",
    ),
    "roofline": Task(
        10,
        "Give how many seconds a layer takes at best on a machine, and what limits it: (seconds, "
        '"compute") or (seconds, "memory"), strings in lower case. The machine does '
        "peak_operations a second and moves bandwidth bytes a second, both at the same time.",
        "How long do the operations take alone, and how long does moving the bytes?",
        "Both happen at the same time, so the longer one counts. Which is it?",
        "computing = operations / peak_operations, moving = bytes_moved / bandwidth; the seconds "
        'are max(computing, moving), with "compute" if computing is longer.',
    ),
}
