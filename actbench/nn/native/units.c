/* The health of hidden units: one pass over pre-activations z that computes f(z) and |f'(z)| and keeps of each unit what
the measures need.

The numbers of one run are taken as (blocks, rows, units), wherever they lie. A block is an image and its rows are its
positions, in a convolution; a dense layer is one block, whose rows are the examples:

    for each group of LANES units
        for each block
            for each TILE of its rows
                z -> tile, widened             (units side by side, whatever the memory format)
                a = f(z), slope = |f'(z)|      one loop for each activation
                LANES sums, maxima and counts, in registers

Each unit's numbers are taken one after another in the order of the examples, and added in double precision: so no result
depends on the runs or units beside it, nor on how the probe is cut into batches. */

#include "activations.h"

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif
#define TILE 64

/* What is kept of a unit, from one call to the next: a row of numbers for each field. The moments are sums of distances
from the unit's first number, z_first or a_first. A squared sum subtracted from a sum of squares would cancel, but for
these: the deviations from the mean, squared, add up to the first one's at least, which bounds what is lost by the count
of the numbers times the rounding of a double. And a unit that never varies has distances of exactly 0. */
enum { Z_FIRST, Z_SUM, Z_SQUARES, A_FIRST, A_SUM, A_SQUARES, A_SIZES, Z_MAX, A_MAX, ZEROS, FLAT, POSITIVE, FIRED, FIELDS };

/* |x| as an integer: ordered as the numbers are, NaN above infinity. */
INLINE int32_t size_bits(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

INLINE float of_bits(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* a = f(z) and slope = |f'(z)| for n numbers, in one loop, so that what they share is computed once. Gelu's shared part is
named here: found by gcc 12 itself, it becomes a jump, and then the loop has no vectors. */
#define GELU 7
#define WITH_SLOPES(code, name)                                                                                        \
    static void name##_with_slopes(float p, const float *restrict z, float *restrict a, float *restrict slope,         \
                                   int64_t n) {                                                                        \
        (void)p;                                                                                                       \
        for (int64_t i = 0; i < n; i++)                                                                                \
            if (code == GELU) {                                                                                        \
                float bell, cdf = normal_cdf(z[i], &bell);                                                             \
                a[i] = z[i] * cdf;                                                                                     \
                slope[i] = fabsf(FMA(BELL_HEIGHT * z[i], bell, cdf));                                                  \
            } else {                                                                                                   \
                a[i] = name##_value(z[i], p);                                                                          \
                slope[i] = fabsf(name##_slope(z[i], p));                                                               \
            }                                                                                                          \
    }
EACH_ACTIVATION(WITH_SLOPES)

#define CASE(code, name)                                                                                               \
    case code:                                                                                                         \
        name##_with_slopes(p, z, a, slope, n);                                                                         \
        return;
static void with_slopes(int64_t code, float p, const float *restrict z, float *restrict a, float *restrict slope,
                        int64_t n) {
    switch (code) { EACH_ACTIVATION(CASE) }
}

/* The sums of LANES units. */
typedef struct {
    double z_sum[LANES], z_squares[LANES], a_sum[LANES], a_squares[LANES], a_sizes[LANES];
    float z_first[LANES], a_first[LANES];
    int32_t z_max[LANES], a_max[LANES], zeros[LANES], flat[LANES], positive[LANES];
} Sums;

/* Add the moments of rows of numbers, and the largest and the sum of their sizes. */
static void add_moments(const float *restrict x, int64_t rows, const float *first, double *sums, double *squares,
                        double *sizes, int32_t *largest) {
    float own_first[LANES];
    double own_sums[LANES], own_squares[LANES];
    memcpy(own_first, first, sizeof own_first);
    memcpy(own_sums, sums, sizeof own_sums);
    memcpy(own_squares, squares, sizeof own_squares);
    for (int64_t row = 0; row < rows; row++)
        for (int u = 0; u < LANES; u++) {
            double apart = (double)x[row * LANES + u] - (double)own_first[u];
            own_sums[u] += apart;
            own_squares[u] = __builtin_fma(apart, apart, own_squares[u]);
        }
    memcpy(sums, own_sums, sizeof own_sums);
    memcpy(squares, own_squares, sizeof own_squares);
    int32_t own_largest[LANES];
    memcpy(own_largest, largest, sizeof own_largest);
    for (int64_t row = 0; row < rows; row++)
        for (int u = 0; u < LANES; u++) {
            int32_t size = size_bits(x[row * LANES + u]);
            own_largest[u] = size > own_largest[u] ? size : own_largest[u];
        }
    memcpy(largest, own_largest, sizeof own_largest);
    if (sizes) {
        double own_sizes[LANES];
        memcpy(own_sizes, sizes, sizeof own_sizes);
        for (int64_t row = 0; row < rows; row++)
            for (int u = 0; u < LANES; u++) own_sizes[u] += (double)fabsf(x[row * LANES + u]);
        memcpy(sizes, own_sizes, sizeof own_sizes);
    }
}

/* Count where a is 0, where the slope is at most dead_slope, and where z > 0. */
static void add_counts(const float *restrict z, const float *restrict a, const float *restrict slope, int64_t rows,
                       float dead_slope, Sums *sums) {
    int32_t zeros[LANES], flat[LANES], positive[LANES];
    memcpy(zeros, sums->zeros, sizeof zeros);
    memcpy(flat, sums->flat, sizeof flat);
    memcpy(positive, sums->positive, sizeof positive);
    for (int64_t row = 0; row < rows; row++)
        for (int u = 0; u < LANES; u++) {
            int64_t i = row * LANES + u;
            zeros[u] += a[i] == 0.0f;
            flat[u] += slope[i] <= dead_slope;
            positive[u] += z[i] > 0.0f;
        }
    memcpy(sums->zeros, zeros, sizeof zeros);
    memcpy(sums->flat, flat, sizeof flat);
    memcpy(sums->positive, positive, sizeof positive);
}

/* Raise the largest slope at each row's position: rows at_stride apart, of n units. */
static void raise_slopes(const float *restrict slope, int64_t rows, int64_t n, float *restrict at, int64_t at_stride) {
    for (int64_t row = 0; row < rows; row++) {
        const float *own = slope + row * LANES;
        float *largest = at + row * at_stride;
        if (n == LANES)
            for (int u = 0; u < LANES; u++) {
                int32_t size = size_bits(own[u]), known = size_bits(largest[u]);
                largest[u] = of_bits(size > known ? size : known);
            }
        else
            for (int64_t u = 0; u < n; u++)
                largest[u] = of_bits(size_bits(own[u]) > size_bits(largest[u]) ? size_bits(own[u]) : size_bits(largest[u]));
    }
}

/* The bins of a histogram: numbers of one sign with the same high bits share a cell, and at most one edge lies in it. Of
each cell are counted the numbers whose bits, without the sign, are at least those of the edge, and the others; they
become bins in health/units/histograms.py. Numbers smaller or larger than all cells count as the nearest ones. */
#define CELLS_FROM 0x3c800000 /* 2^-6 */
#define CELLS_TO 0x42ffffff   /* the last number below 2^7 */
#define CELL_BITS 20          /* eight cells for each power of two */
#define CELLS (((CELLS_TO - CELLS_FROM) >> CELL_BITS) + 1)
#define COUNTS (2 * (2 * CELLS + 1)) /* of both signs, and of what is not finite */
#define COPIES 4 /* an addition waits for the one before to the same place: neighbours count in places of their own */

static void count_cells(const float *restrict x, int64_t rows, int64_t n, const uint32_t *restrict edges,
                        uint32_t *restrict counts) {
    uint32_t places[TILE * LANES], sizes[TILE * LANES];
    for (int32_t i = 0; i < (int32_t)rows * LANES; i++) {
        int32_t size = size_bits(x[i]);
        int32_t within = size < CELLS_FROM ? CELLS_FROM : size > CELLS_TO ? CELLS_TO : size;
        int32_t cell = ((within - CELLS_FROM) >> CELL_BITS) + (x[i] < 0.0f ? CELLS : 0);
        sizes[i] = (uint32_t)within;
        places[i] = (uint32_t)((size >= 0x7f800000 ? 2 * CELLS : cell) * COPIES + (i & (COPIES - 1)));
    }
#define COUNT(i) counts[2 * places[i] + (sizes[i] < edges[places[i]])]++
    if (n == LANES) {
        for (int64_t i = 0; i < rows * LANES; i++) COUNT(i);
    } else
        for (int64_t row = 0; row < rows; row++)
            for (int64_t u = 0; u < n; u++) COUNT(row * LANES + u);
}

/* Observe the pre-activations of one run.

code, option: the activation.  dead_slope: at or below it a slope counts as none.
z: (blocks, rows, units) at these strides, in numbers.  is_dense: whether each row is an input, rather than each block.
state: (FIELDS, units); is_first: whether it is empty.
at: (positions, units), the largest slope at each row, at_stride apart; 0 where all rows have one position.
edges, counts: those of count_cells, counts for z and for a; null for no histograms. */
void observe_units(int64_t code, float option, float dead_slope, const float *z, int64_t blocks, int64_t rows,
                   int64_t units, int64_t block_stride, int64_t row_stride, int64_t unit_stride, int64_t is_dense,
                   int64_t is_first, double *state, float *at, int64_t at_stride, const uint32_t *edges, uint32_t *counts) {
    _Alignas(64) float tile[TILE * LANES], a[TILE * LANES], slope[TILE * LANES];
    _Alignas(64) Sums sums;
    if (blocks < 1 || rows < 1) return;
    for (int64_t start = 0; start < units; start += LANES) {
        int64_t n = units - start < LANES ? units - start : LANES;
        const float *own = z + start * unit_stride;
        double *kept = state + start;
        memset(&sums, 0, sizeof sums);
        memset(tile, 0, sizeof tile);
        if (is_first) {
            for (int64_t u = 0; u < n; u++) tile[u] = own[u * unit_stride];
            with_slopes(code, option, tile, a, slope, LANES);
            for (int64_t u = 0; u < n; u++) {
                kept[Z_FIRST * units + u] = tile[u];
                kept[A_FIRST * units + u] = a[u];
            }
        }
        for (int64_t u = 0; u < n; u++) {
            sums.z_first[u] = (float)kept[Z_FIRST * units + u];
            sums.a_first[u] = (float)kept[A_FIRST * units + u];
            sums.z_sum[u] = kept[Z_SUM * units + u];
            sums.z_squares[u] = kept[Z_SQUARES * units + u];
            sums.a_sum[u] = kept[A_SUM * units + u];
            sums.a_squares[u] = kept[A_SQUARES * units + u];
            sums.a_sizes[u] = kept[A_SIZES * units + u];
            sums.z_max[u] = size_bits((float)kept[Z_MAX * units + u]);
            sums.a_max[u] = size_bits((float)kept[A_MAX * units + u]);
        }
        for (int64_t block = 0; block < blocks; block++) {
            for (int64_t from = 0; from < rows; from += TILE) {
                int64_t here = rows - from < TILE ? rows - from : TILE;
                const float *read = own + block * block_stride + from * row_stride;
                if (unit_stride == 1 && n == LANES)
                    for (int64_t row = 0; row < here; row++)
                        memcpy(tile + row * LANES, read + row * row_stride, LANES * sizeof(float));
                else
                    for (int64_t u = 0; u < n; u++)
                        for (int64_t row = 0; row < here; row++)
                            tile[row * LANES + u] = read[row * row_stride + u * unit_stride];
                with_slopes(code, option, tile, a, slope, here * LANES);
                add_moments(tile, here, sums.z_first, sums.z_sum, sums.z_squares, 0, sums.z_max);
                add_moments(a, here, sums.a_first, sums.a_sum, sums.a_squares, sums.a_sizes, sums.a_max);
                add_counts(tile, a, slope, here, dead_slope, &sums);
                raise_slopes(slope, here, n, at + start + from * at_stride, at_stride);
                if (edges) {
                    count_cells(tile, here, n, edges, counts);
                    count_cells(a, here, n, edges, counts + COUNTS * COPIES);
                }
            }
            for (int64_t u = 0; u < n; u++) {
                kept[ZEROS * units + u] += sums.zeros[u];
                kept[FLAT * units + u] += sums.flat[u];
                kept[POSITIVE * units + u] += sums.positive[u];
                kept[FIRED * units + u] += is_dense ? sums.positive[u] : sums.positive[u] > 0;
                sums.zeros[u] = sums.flat[u] = sums.positive[u] = 0;
            }
        }
        for (int64_t u = 0; u < n; u++) {
            kept[Z_SUM * units + u] = sums.z_sum[u];
            kept[Z_SQUARES * units + u] = sums.z_squares[u];
            kept[A_SUM * units + u] = sums.a_sum[u];
            kept[A_SQUARES * units + u] = sums.a_squares[u];
            kept[A_SIZES * units + u] = sums.a_sizes[u];
            kept[Z_MAX * units + u] = of_bits(sums.z_max[u]);
            kept[A_MAX * units + u] = of_bits(sums.a_max[u]);
        }
    }
}
