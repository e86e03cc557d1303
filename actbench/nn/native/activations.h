/* The activations of nn/activations.py: f(x) and f'(x) for one float, so written that compilers vectorise loops of it.

No branches and no calls: a choice is "condition ? a : b" with both sides computed. What is not a number stays so:
"x <= 0 ? 0 : x" lets NaN pass where "x > 0 ? x : 0" would not. A product that is added to goes through FMA, and the
compiler may fuse no other, so a result does not depend on where in a vector, or behind its end, its number lies.

The polynomials were fitted to the functions in double precision, on Chebyshev points, for the least relative error;
what is left, about 1e-7, is the rounding of float32. Errors are at most 2 units in the last place and 2^-23, of values
and slopes (tests/nn/test_native_activations.py). */

#ifndef ACTBENCH_ACTIVATIONS_H
#define ACTBENCH_ACTIVATIONS_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#if (defined(__x86_64__) || defined(__i386__)) && !defined(__FMA__)
#error "this processor, or the compiler, has no fused multiply-add; its replacement is slower than torch"
#endif
#define FMA(a, b, c) __builtin_fmaf(a, b, c)

/* exp(x) = 2^n (1 + q) with n = x / ln 2, rounded, and q = exp(x - n ln 2) - 1. Returns q, and 2^n in *power. */
INLINE float reduced_exp(float x, float *power) {
    float within = x < -87.3f ? -87.3f : x > 88.3f ? 88.3f : x;
    /* A sum with 1.5 * 2^23 has no digits behind the point, and n in its last bits: no conversion, which NaN lacks. */
    float sum = FMA(within, 1.44269504f, 12582912.0f), n = sum - 12582912.0f;
    float r = FMA(n, -1.42860682e-6f, FMA(n, -0.693145751953125f, within)); /* ln 2 in two parts */
    float p = FMA(1.98992886e-4f, r, 1.39336544e-3f);
    p = FMA(p, r, 8.33329838e-3f);
    p = FMA(p, r, 4.16664667e-2f);
    p = FMA(p, r, 1.66666672e-1f);
    p = FMA(p, r, 0.5f);
    uint32_t bits;
    memcpy(&bits, &sum, sizeof bits);
    bits = (bits + 127) << 23;
    memcpy(power, &bits, sizeof bits);
    return FMA(p * r, r, r);
}

/* exp(x): 0 below -87.3, where float32 has no normal numbers left, infinite above 88.3 (of 88.7). */
INLINE float exp_of(float x) {
    float power, q = reduced_exp(x, &power);
    float within = FMA(q, power, power);
    return x < -87.3f ? 0.0f : x > 88.3f ? INFINITY : within;
}

/* exp(x) - 1, near 0 as well. */
INLINE float expm1_of(float x) {
    float power, q = reduced_exp(x, &power);
    float within = FMA(q, power, power - 1.0f);
    return x > 88.3f ? INFINITY : within;
}

/* log(1 + x) for x in [0, 1]. */
INLINE float log1p_of(float x) {
    float p = FMA(-3.2564195792e-3f, x, 1.9907411071e-2f);
    p = FMA(p, x, -5.7064810832e-2f);
    p = FMA(p, x, 1.0614343421e-1f);
    p = FMA(p, x, -1.5311922084e-1f);
    p = FMA(p, x, 1.9678143494e-1f);
    p = FMA(p, x, -2.4954565633e-1f);
    p = FMA(p, x, 3.3330004969e-1f);
    p = FMA(p, x, -4.9999904051e-1f);
    p = FMA(p, x, 9.9999999540e-1f);
    return p * x;
}

INLINE float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

/* sigmoid(x), and sigmoid(x) (1 - sigmoid(x)) in *slope, whose second factor would lose its digits where x is large. */
INLINE float sigmoid_with_slope(float x, float *slope) {
    float e = exp_of(-fabsf(x)), d = 1.0f / (1.0f + e);
    *slope = e * d * d;
    return x < 0.0f ? e * d : d;
}

INLINE float tanh_of(float x) {
    float e = expm1_of(-2.0f * fabsf(x));
    return copysignf(-e / (e + 2.0f), x);
}

/* The standard normal distribution function, and exp(-x^2 / 2) in *bell: exp(y^2) erfc(y) with y = |x| / sqrt 2 is a
polynomial in t = 1 / (1 + y / 2). */
INLINE float normal_cdf(float x, float *bell) {
    float size = fabsf(x);
    float t = 1.0f / FMA(size, 0.353553391f, 1.0f);
    float p = FMA(4.364668e-2f, t, -2.3665607e-1f);
    p = FMA(p, t, 4.9682042e-1f);
    p = FMA(p, t, -4.570533e-1f);
    p = FMA(p, t, 1.3195539e-1f);
    p = FMA(p, t, -5.791065e-2f);
    p = FMA(p, t, 9.254317e-2f);
    p = FMA(p, t, 1.7563552e-1f);
    p = FMA(p, t, 2.4682492e-1f);
    p = FMA(p, t, 2.8209933e-1f);
    p = FMA(p, t, 2.820946e-1f);
    *bell = exp_of(-0.5f * x * x);
    float tail = 0.5f * p * t * *bell;
    return x > 0.0f ? 1.0f - tail : tail;
}

/* tanh(log(1 + exp(x))), which is w(w + 2) / (w(w + 2) + 2) with w = exp(x). */
INLINE float mish_gate(float x) {
    float w = exp_of(x > 20.0f ? 20.0f : x), n = w * (w + 2.0f);
    return n / (n + 2.0f);
}

#define ROOT_2_OVER_PI 0.797884561f
#define BELL_HEIGHT 0.398942280f /* 1 / sqrt(2 pi) */
#define SELU_SCALE 1.05070099f
#define SELU_ALPHA 1.67326324f

/* For each activation VALUE(name) is f(x) and SLOPE(name) is f'(x), with the table's derivative at a kink; p is its one
option, 0 where it has none. */
#define VALUE(name) INLINE float name##_value(float x, float p)
#define SLOPE(name) INLINE float name##_slope(float x, float p)

VALUE(identity) { return x; }
SLOPE(identity) { return 1.0f; }

VALUE(relu) { return x <= 0.0f ? 0.0f : x; }
SLOPE(relu) { return x <= 0.0f ? 0.0f : 1.0f; }

VALUE(leaky_relu) { return x <= 0.0f ? p * x : x; }
SLOPE(leaky_relu) { return x <= 0.0f ? p : 1.0f; }

VALUE(relu6) { return x <= 0.0f ? 0.0f : x >= 6.0f ? 6.0f : x; }
SLOPE(relu6) { return x <= 0.0f || x >= 6.0f ? 0.0f : 1.0f; }

VALUE(elu) { return x <= 0.0f ? p * expm1_of(x) : x; }
SLOPE(elu) { return x <= 0.0f ? p * exp_of(x) : 1.0f; }

VALUE(selu) { return SELU_SCALE * (x <= 0.0f ? SELU_ALPHA * expm1_of(x) : x); }
SLOPE(selu) { return SELU_SCALE * (x <= 0.0f ? SELU_ALPHA * exp_of(x) : 1.0f); }

VALUE(celu) { return x <= 0.0f ? p * expm1_of(x / p) : x; }
SLOPE(celu) { return x <= 0.0f ? exp_of(x / p) : 1.0f; }

VALUE(gelu) {
    float bell;
    return x * normal_cdf(x, &bell);
}
SLOPE(gelu) {
    float bell, cdf = normal_cdf(x, &bell);
    return FMA(BELL_HEIGHT * x, bell, cdf);
}

/* (1 + tanh(u)) / 2 is sigmoid(2 u), which keeps its digits where tanh(u) is nearly -1. */
INLINE float gelu_tanh_inner(float x) { return 2.0f * ROOT_2_OVER_PI * FMA(0.044715f * x * x, x, x); }
VALUE(gelu_tanh) { return x * sigmoid_of(gelu_tanh_inner(x)); }
SLOPE(gelu_tanh) {
    float slope, s = sigmoid_with_slope(gelu_tanh_inner(x), &slope);
    return FMA(x * slope, 2.0f * ROOT_2_OVER_PI * FMA(0.134145f * x, x, 1.0f), s);
}

VALUE(silu) { return x * sigmoid_of(x); }
SLOPE(silu) {
    float slope, s = sigmoid_with_slope(x, &slope);
    return FMA(x, slope, s);
}

VALUE(swish) { return x * sigmoid_of(p * x); }
SLOPE(swish) {
    float slope, s = sigmoid_with_slope(p * x, &slope);
    return FMA(p, x * slope, s); /* not p x first: it may be infinite where x is not */
}

VALUE(mish) { return x * mish_gate(x); }
SLOPE(mish) { /* t + x sigmoid(x) (1 - t^2) for t = mish_gate(x), without the differences: 1 - t = 2 / (n + 2) */
    float w = exp_of(x > 20.0f ? 20.0f : x), n = w * (w + 2.0f), r = 1.0f / (n + 2.0f);
    float within = FMA(x, 4.0f * (w * r) * ((w + 1.0f) * r), n * r);
    return x > 20.0f ? 1.0f : within;
}

VALUE(softplus) {
    float u = p * x;
    float smooth = ((u <= 0.0f ? 0.0f : u) + log1p_of(exp_of(-fabsf(u)))) / p;
    return u > 20.0f ? x : smooth;
}
SLOPE(softplus) {
    float s = sigmoid_of(p * x);
    return p * x > 20.0f ? 1.0f : s;
}

VALUE(tanh) { return tanh_of(x); }
SLOPE(tanh) { /* 1 - tanh(x)^2 loses all its digits in the tails; this form loses none */
    float e = exp_of(-2.0f * fabsf(x)), d = 1.0f + e;
    return 4.0f * e / (d * d);
}

VALUE(sigmoid) { return sigmoid_of(x); }
SLOPE(sigmoid) {
    float slope;
    sigmoid_with_slope(x, &slope);
    return slope;
}

VALUE(softsign) { return x / (1.0f + fabsf(x)); }
SLOPE(softsign) {
    float d = 1.0f / (1.0f + fabsf(x));
    return d * d;
}

VALUE(hardtanh) { return x <= -1.0f ? -1.0f : x >= 1.0f ? 1.0f : x; }
SLOPE(hardtanh) { return x <= -1.0f || x >= 1.0f ? 0.0f : 1.0f; }

VALUE(hardswish) {
    float g = x + 3.0f;
    return x * (g <= 0.0f ? 0.0f : g >= 6.0f ? 6.0f : g) * (1.0f / 6.0f);
}
SLOPE(hardswish) { return x <= -3.0f ? 0.0f : x >= 3.0f ? 1.0f : FMA(x, 1.0f / 3.0f, 0.5f); }

VALUE(hardsigmoid) {
    float g = x + 3.0f;
    return (g <= 0.0f ? 0.0f : g >= 6.0f ? 6.0f : g) * (1.0f / 6.0f);
}
SLOPE(hardsigmoid) { return x <= -3.0f || x >= 3.0f ? 0.0f : 1.0f / 6.0f; }

VALUE(squared_relu) {
    float a = x <= 0.0f ? 0.0f : x;
    return a * a;
}
SLOPE(squared_relu) { return x <= 0.0f ? 0.0f : 2.0f * x; }

#undef VALUE
#undef SLOPE

/* ROW(code, name) for each of them; nn/native/activation_codes.py has the same codes. */
#define EACH_ACTIVATION(ROW)                                                                                           \
    ROW(0, identity) ROW(1, relu) ROW(2, leaky_relu) ROW(3, relu6) ROW(4, elu) ROW(5, selu) ROW(6, celu)               \
    ROW(7, gelu) ROW(8, gelu_tanh) ROW(9, silu) ROW(10, swish) ROW(11, mish) ROW(12, softplus) ROW(13, tanh)           \
    ROW(14, sigmoid) ROW(15, softsign) ROW(16, hardtanh) ROW(17, hardswish) ROW(18, hardsigmoid)                       \
    ROW(19, squared_relu)

#endif
