/* What surrounds the matrix products of a training step: activations, their derivatives, the loss, sums over rows,
maxima over windows.

Compiled once on the machine that runs it (nn/native/library.py). Each function works on the numbers of one run, or of
several with one activation, wherever they lie, and keeps nothing. An output may overlap no input ("restrict"). */

#include "activations.h"

/* A number in memory as a float, and back: bfloat16 is widened, and rounded to the nearest number, ties to even. */
typedef uint16_t bfloat16;

INLINE float read_float(const float *at) { return *at; }
INLINE void write_float(float *at, float x) { *at = x; }

INLINE float read_bfloat16(const bfloat16 *at) {
    uint32_t bits = (uint32_t)*at << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE void write_bfloat16(bfloat16 *at, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = bits + 0x7fff + ((bits >> 16) & 1);
    *at = (bfloat16)((x != x ? 0x7fc00000u : rounded) >> 16);
}

/* a = f(z) and dz = f'(z) da, for n numbers of one type. */
#define LOOPS(type, name)                                                                                              \
    static void name##_values_##type(float p, const type *restrict z, type *restrict a, int64_t n) {                   \
        for (int64_t i = 0; i < n; i++) write_##type(a + i, name##_value(read_##type(z + i), p));                      \
    }                                                                                                                  \
    static void name##_slopes_##type(float p, const type *restrict z, const type *restrict da,                         \
                                     type *restrict dz, int64_t n) {                                                   \
        for (int64_t i = 0; i < n; i++)                                                                                \
            write_##type(dz + i, name##_slope(read_##type(z + i), p) * read_##type(da + i));                           \
    }
#define BOTH_LOOPS(code, name) LOOPS(float, name) LOOPS(bfloat16, name)
EACH_ACTIVATION(BOTH_LOOPS)

#define VALUES(code, name)                                                                                             \
    case code:                                                                                                         \
        if (is_half) name##_values_bfloat16(p, z, a, n);                                                               \
        else name##_values_float(p, z, a, n);                                                                          \
        return;
#define SLOPES(code, name)                                                                                             \
    case code:                                                                                                         \
        if (is_half) name##_slopes_bfloat16(p, z, da, dz, n);                                                          \
        else name##_slopes_float(p, z, da, dz, n);                                                                     \
        return;

/* a = f(z) for n numbers, float32 or, if is_half, bfloat16; p is the activation's option. */
void activate(int64_t code, float p, int64_t is_half, const void *z, void *a, int64_t n) {
    switch (code) { EACH_ACTIVATION(VALUES) }
}

/* dz = f'(z) da for n numbers. */
void activate_backward(int64_t code, float p, int64_t is_half, const void *z, const void *da, void *dz, int64_t n) {
    switch (code) { EACH_ACTIVATION(SLOPES) }
}

/* The mean over examples of -log softmax(logits)[label], and its slope in each of logits (examples, classes).

As torch has it, a logit that is NaN or +infinite makes the loss and its example's slope NaN, and one that is -infinite
is a class of probability 0. No label is looked at: datasets/_checks.py refuses those that are no class. */
void cross_entropy(const float *restrict logits, const int64_t *restrict labels, float *loss, float *restrict slope,
                   int64_t examples, int64_t classes) {
    double total = 0.0;
    for (int64_t i = 0; i < examples; i++) {
        const float *own = logits + i * classes;
        float *d = slope + i * classes, largest = own[0];
        double sum = 0.0;
        for (int64_t j = 1; j < classes; j++) largest = own[j] > largest ? own[j] : largest;
        for (int64_t j = 0; j < classes; j++) d[j] = exp_of(own[j] - largest); /* lets NaN pass */
        for (int64_t j = 0; j < classes; j++) sum += d[j];
        float scale = (float)(1.0 / (sum * (double)examples));
        for (int64_t j = 0; j < classes; j++) d[j] *= scale;
        d[labels[i]] -= 1.0f / (float)examples;
        total += (double)(logf((float)sum) + largest - own[labels[i]]);
    }
    *loss = (float)(total / (double)examples);
}

/* The sum over rows of each column of x (rows, columns), float32 or, if is_half, bfloat16; sums is float32. */
void column_sums(int64_t is_half, const void *x, float *restrict sums, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j++) sums[j] = 0.0f;
    for (int64_t i = 0; i < rows; i++) {
        if (is_half) {
            const bfloat16 *own = (const bfloat16 *)x + i * columns;
            for (int64_t j = 0; j < columns; j++) sums[j] += read_bfloat16(own + j);
        } else {
            const float *own = (const float *)x + i * columns;
            for (int64_t j = 0; j < columns; j++) sums[j] += own[j];
        }
    }
}

/* Maxima over windows of size x size, side by side: x (images, height, width, channels) in memory, out the same with
   height / size and width / size, and for each of them which number of its window it is, row by row, from 0. The first of
   equal numbers; NaN wherever there is one. */
#define MAX_POOL(type)                                                                                                 \
    static void max_pool_##type(const type *x, type *out, uint8_t *place, int64_t images, int64_t height,              \
                                int64_t width, int64_t channels, int64_t size) {                                       \
        for (int64_t i = 0; i < images; i++)                                                                           \
            for (int64_t row = 0; row < height / size; row++)                                                          \
                for (int64_t column = 0; column < width / size; column++) {                                            \
                    const type *window = x + ((i * height + row * size) * width + column * size) * channels;           \
                    for (int64_t c = 0; c < channels; c++) out[c] = window[c], place[c] = 0;                           \
                    for (int64_t k = 1; k < size * size; k++) {                                                        \
                        const type *other = window + (k / size * width + k % size) * channels;                         \
                        for (int64_t c = 0; c < channels; c++) {                                                       \
                            float best = read_##type(out + c), found = read_##type(other + c);                         \
                            int larger = (found > best) | (found != found);                                            \
                            out[c] = larger ? other[c] : out[c];                                                       \
                            place[c] = larger ? (uint8_t)k : place[c];                                                 \
                        }                                                                                              \
                    }                                                                                                  \
                    out += channels, place += channels;                                                                \
                }                                                                                                      \
    }                                                                                                                  \
    static void max_pool_backward_##type(const type *slope, const uint8_t *place, type *dx, int64_t images,            \
                                         int64_t height, int64_t width, int64_t channels, int64_t size) {              \
        if (height % size || width % size) memset(dx, 0, sizeof(type) * images * height * width * channels);           \
        for (int64_t i = 0; i < images; i++)                                                                           \
            for (int64_t row = 0; row < height / size; row++)                                                          \
                for (int64_t column = 0; column < width / size; column++) {                                            \
                    type *window = dx + ((i * height + row * size) * width + column * size) * channels;                \
                    for (int64_t k = 0; k < size * size; k++) {                                                        \
                        type *own = window + (k / size * width + k % size) * channels;                                 \
                        for (int64_t c = 0; c < channels; c++) own[c] = place[c] == k ? slope[c] : (type)0;            \
                    }                                                                                                  \
                    slope += channels, place += channels;                                                              \
                }                                                                                                      \
    }
MAX_POOL(float)
MAX_POOL(bfloat16)

void max_pool(int64_t is_half, const void *x, void *out, uint8_t *place, int64_t images, int64_t height, int64_t width,
              int64_t channels, int64_t size) {
    if (is_half) max_pool_bfloat16(x, out, place, images, height, width, channels, size);
    else max_pool_float(x, out, place, images, height, width, channels, size);
}

/* What the maxima's slopes are for x: each at its place, 0 elsewhere. */
void max_pool_backward(int64_t is_half, const void *slope, const uint8_t *place, void *dx, int64_t images, int64_t height,
                       int64_t width, int64_t channels, int64_t size) {
    if (is_half) max_pool_backward_bfloat16(slope, place, dx, images, height, width, channels, size);
    else max_pool_backward_float(slope, place, dx, images, height, width, channels, size);
}
