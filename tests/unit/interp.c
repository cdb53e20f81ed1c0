/* Every operation's values: written out by hand, and for sums of products and pools as PyTorch computes them, in the
 * interpreter, in folded constants and in compiled code. The operations come from the table: one without a case fails.
 */
#include "ir_case.h"

#include <ctype.h>
#include <math.h>

enum { MAX_INPUTS = 4, MAX_ELEMENTS = 128 };

/* A tensor in text is its type and its elements in order, or "~k" for the numbers ((i k + 3) mod 11 - 5) / 4. */
typedef struct {
    const char *op, *inputs[MAX_INPUTS], *attrs, *result;
} value_case;

/* clang-format off */
static const value_case cases[] = {
    {"constant", {0}, "{value=2.5}", "f32[2,2] 2.5 2.5 2.5 2.5"},
    {"constant", {0}, "{value=-7}", "i32[3] -7 -7 -7"},
    {"constant", {0}, "{value=1}", "bool[2] 1 1"},
    {"constant", {0}, "{value=-inf}", "f32[] -inf"},
    {"constant", {0}, "{value=nan}", "f32[] nan"},
    {"iota", {0}, "{axis=0}", "f32[3] 0 1 2"},
    {"iota", {0}, "{axis=1}", "f32[2,3] 0 1 2 0 1 2"},
    {"iota", {0}, "{axis=0}", "i32[3,2] 0 0 1 1 2 2"},
    {"iota", {0}, "{axis=1}", "i32[2,2,2] 0 0 1 1 0 0 1 1"},

    {"neg", {"f32[5] 1 -2.5 0 nan inf"}, "", "f32[5] -1 2.5 0 nan -inf"},
    {"neg", {"i32[3] 5 -6 2147483647"}, "", "i32[3] -5 6 -2147483647"},
    {"abs", {"f32[5] 1 -2.5 0 nan -inf"}, "", "f32[5] 1 2.5 0 nan inf"},
    {"abs", {"i32[3] 5 -6 -2147483647"}, "", "i32[3] 5 6 2147483647"},
    {"sign", {"f32[6] -3 0 0.25 nan inf -inf"}, "", "f32[6] -1 0 1 0 1 -1"},
    {"sign", {"i32[3] -3 0 9"}, "", "i32[3] -1 0 1"},
    {"floor", {"f32[8] 1.5 -1.5 2 -0.25 0 inf -inf nan"}, "", "f32[8] 1 -2 2 -1 0 inf -inf nan"},
    {"floor", {"i32[2] -3 4"}, "", "i32[2] -3 4"},
    {"exp", {"f32[6] 0 1 -2 inf -inf nan"}, "", "f32[6] 1 2.7182818284590452 0.13533528323661269 inf 0 nan"},
    {"log", {"f32[7] 1 2 0.25 0 -1 inf nan"}, "", "f32[7] 0 0.69314718055994531 -1.3862943611198906 -inf nan inf nan"},
    {"sqrt", {"f32[6] 4 2 0 -1 inf nan"}, "", "f32[6] 2 1.4142135623730951 0 nan inf nan"},
    {"rsqrt", {"f32[6] 4 2 0 -1 inf nan"}, "", "f32[6] 0.5 0.70710678118654752 inf nan 0 nan"},
    {"tanh", {"f32[6] 0 1 -0.5 inf -inf nan"}, "", "f32[6] 0 0.76159415595576489 -0.46211715726000976 1 -1 nan"},
    {"sin", {"f32[4] 0 1 -2 nan"}, "", "f32[4] 0 0.84147098480789651 -0.90929742682568170 nan"},
    {"cos", {"f32[4] 0 1 -2 nan"}, "", "f32[4] 1 0.54030230586813972 -0.41614683654714239 nan"},
    {"relu", {"f32[6] -1 0 2.5 inf -inf nan"}, "", "f32[6] 0 0 2.5 inf 0 nan"},
    {"not", {"bool[2] 0 1"}, "", "bool[2] 1 0"},
    {"convert", {"f32[4] 1.5 -2 inf nan"}, "", "f32[4] 1.5 -2 inf nan"},
    {"convert", {"f32[9] 1.75 -1.75 0 3e9 -3e9 inf -inf nan 8388609"}, "",
     "i32[9] 1 -1 0 2147483647 -2147483648 2147483647 -2147483648 0 8388609"},
    {"convert", {"f32[5] 0 0.5 -1 nan inf"}, "", "bool[5] 0 1 1 1 1"},
    {"convert", {"i32[3] 0 -5 16777217"}, "", "bool[3] 0 1 1"},
    {"convert", {"i32[3] 0 -5 16777216"}, "", "f32[3] 0 -5 16777216"},
    {"convert", {"bool[2] 0 1"}, "", "f32[2] 0 1"},
    {"convert", {"bool[2] 0 1"}, "", "i32[2] 0 1"},
    {"stop_gradient", {"f32[3] 1 nan -inf"}, "", "f32[3] 1 nan -inf"},

    {"add", {"f32[4] 1 0.5 inf nan", "f32[4] 2 -1 -inf 1"}, "", "f32[4] 3 -0.5 nan nan"},
    {"add", {"i32[2] 5 2147483647", "i32[2] -7 1"}, "", "i32[2] -2 -2147483648"},
    {"sub", {"f32[4] 1 0.5 inf nan", "f32[4] 2 -1 inf 1"}, "", "f32[4] -1 1.5 nan nan"},
    {"sub", {"i32[2] 5 -2147483648", "i32[2] -7 1"}, "", "i32[2] 12 2147483647"},
    {"mul", {"f32[4] 1.5 -0.5 inf nan", "f32[4] 2 -1 0 1"}, "", "f32[4] 3 0.5 nan nan"},
    {"mul", {"i32[4] 5 65536 65536 46341", "i32[4] -7 65536 32768 46341"}, "", "i32[4] -35 0 -2147483648 -2147479015"},
    {"div", {"f32[5] 3 1 0 -1 nan", "f32[5] -2 0 0 0 1"}, "", "f32[5] -1.5 inf nan -inf nan"},
    {"div", {"i32[6] 7 -7 7 5 0 -2147483648", "i32[6] -2 2 3 0 0 -1"}, "", "i32[6] -3 -3 2 0 0 -2147483648"},
    {"rem", {"f32[6] 5.5 -5.5 5.5 1 2 nan", "f32[6] 2 2 -2 0 inf 1"}, "", "f32[6] 1.5 -1.5 1.5 nan 2 nan"},
    {"rem", {"i32[6] 7 -7 7 5 0 -2147483648", "i32[6] -2 2 3 0 0 -1"}, "", "i32[6] 1 -1 1 0 0 0"},
    {"pow", {"f32[5] 2 2 9 5 nan", "f32[5] 3 -1 0.5 0 1"}, "", "f32[5] 8 0.5 3 1 nan"},
    {"max", {"f32[6] 1 -2 nan 1 nan -inf", "f32[6] 2 -3 1 nan nan 0"}, "", "f32[6] 2 -2 nan nan nan 0"},
    {"max", {"i32[2] 1 -2", "i32[2] 2 -2147483648"}, "", "i32[2] 2 -2"},
    {"min", {"f32[6] 1 -2 nan 1 nan inf", "f32[6] 2 -3 1 nan nan 0"}, "", "f32[6] 1 -3 nan nan nan 0"},
    {"min", {"i32[2] 1 -2", "i32[2] 2 2147483647"}, "", "i32[2] 1 -2"},
    {"equal", {"f32[5] 1 1 nan inf nan", "f32[5] 1 2 nan inf 1"}, "", "bool[5] 1 0 0 1 0"},
    {"equal", {"i32[2] 16777216 3", "i32[2] 16777217 3"}, "", "bool[2] 0 1"},
    {"less", {"f32[5] 1 1 2 nan 1", "f32[5] 1 2 1 1 nan"}, "", "bool[5] 0 1 0 0 0"},
    {"less", {"i32[3] -1 5 2", "i32[3] 1 5 -2"}, "", "bool[3] 1 0 0"},
    {"less_equal", {"f32[5] 1 1 2 nan 1", "f32[5] 1 2 1 1 nan"}, "", "bool[5] 1 1 0 0 0"},
    {"less_equal", {"i32[3] -1 5 2", "i32[3] 1 5 -2"}, "", "bool[3] 1 1 0"},
    {"and", {"bool[4] 0 0 1 1", "bool[4] 0 1 0 1"}, "", "bool[4] 0 0 0 1"},
    {"or", {"bool[4] 0 0 1 1", "bool[4] 0 1 0 1"}, "", "bool[4] 0 1 1 1"},
    {"select", {"bool[3] 1 0 1", "f32[3] 1 nan 3", "f32[3] nan 5 6"}, "", "f32[3] 1 5 3"},
    {"select", {"bool[2] 1 0", "i32[2] 1 2", "i32[2] 3 4"}, "", "i32[2] 1 4"},
    {"select", {"bool[4] 1 0 1 0", "bool[4] 0 0 1 1", "bool[4] 1 1 0 0"}, "", "bool[4] 0 1 1 0"},

    {"broadcast", {"f32[] 3"}, "{axes=[]}", "f32[2,2] 3 3 3 3"},
    {"broadcast", {"f32[2] 1 2"}, "{axes=[0]}", "f32[2,3] 1 1 1 2 2 2"},
    {"broadcast", {"f32[2] 1 2"}, "{axes=[1]}", "f32[3,2] 1 2 1 2 1 2"},
    {"broadcast", {"i32[2,2] 1 2 3 4"}, "{axes=[0,2]}", "i32[2,2,2] 1 2 1 2 3 4 3 4"},
    {"broadcast", {"bool[1,2] 0 1"}, "{axes=[1,2]}", "bool[3,1,2] 0 1 0 1 0 1"},
    {"reshape", {"f32[2,3] 1 2 3 4 5 6"}, "", "f32[3,2] 1 2 3 4 5 6"},
    {"reshape", {"i32[1,2,1] 1 2"}, "", "i32[2] 1 2"},
    {"reshape", {"bool[1] 1"}, "", "bool[] 1"},
    {"transpose", {"f32[2,3] 1 2 3 4 5 6"}, "{axes=[1,0]}", "f32[3,2] 1 4 2 5 3 6"},
    {"transpose", {"f32[2,1,3] 1 2 3 4 5 6"}, "{axes=[2,0,1]}", "f32[3,2,1] 1 4 2 5 3 6"},
    {"transpose", {"i32[2,2,2] 0 1 2 3 4 5 6 7"}, "{axes=[0,2,1]}", "i32[2,2,2] 0 2 1 3 4 6 5 7"},
    {"slice", {"f32[7] 0 1 2 3 4 5 6"}, "{start=[1], limit=[6], stride=[2]}", "f32[3] 1 3 5"},
    {"slice", {"f32[7] 0 1 2 3 4 5 6"}, "{start=[1], limit=[7], stride=[3]}", "f32[2] 1 4"},
    {"slice", {"i32[3,3] 0 1 2 3 4 5 6 7 8"}, "{start=[1,0], limit=[3,3], stride=[1,2]}", "i32[2,2] 3 5 6 8"},
    {"pad", {"f32[2] 1 2"}, "{low=[1], high=[2], interior=[0], value=9}", "f32[5] 9 1 2 9 9"},
    {"pad", {"f32[3] 1 2 3"}, "{low=[0], high=[1], interior=[1], value=-inf}", "f32[6] 1 -inf 2 -inf 3 -inf"},
    {"pad", {"i32[2,1] 1 2"}, "{low=[0,1], high=[1,0], interior=[1,3], value=-1}", "i32[4,2] -1 1 -1 -1 -1 2 -1 -1"},
    {"concat", {"f32[2] 1 2", "f32[1] 3", "f32[3] 4 5 6"}, "{axis=0}", "f32[6] 1 2 3 4 5 6"},
    {"concat", {"f32[2,1] 1 2", "f32[2,2] 3 4 5 6"}, "{axis=1}", "f32[2,3] 1 3 4 2 5 6"},
    {"concat", {"bool[1,2] 1 0", "bool[1,2] 0 1"}, "{axis=0}", "bool[2,2] 1 0 0 1"},
    {"gather", {"f32[3] 1 2 3", "i32[] 1"}, "{axis=0, batch=0}", "f32[] 2"},
    {"gather", {"f32[3,2] 1 2 3 4 5 6", "i32[4] 2 0 0 1"}, "{axis=0, batch=0}", "f32[4,2] 5 6 1 2 1 2 3 4"},
    {"gather", {"f32[2,3] 1 2 3 4 5 6", "i32[2,2] 2 0 1 1"}, "{axis=1, batch=0}", "f32[2,2,2] 3 1 2 2 6 4 5 5"},
    {"gather", {"f32[2,3] 1 2 3 4 5 6", "i32[2] 2 0"}, "{axis=1, batch=1}", "f32[2] 3 4"},
    {"gather", {"i32[2,2,3] 0 1 2 3 4 5 6 7 8 9 10 11", "i32[2,2] 2 0 1 1"}, "{axis=2, batch=1}",
     "i32[2,2,2] 2 0 5 3 7 7 10 10"},
    {"gather", {"f32[3] 1 2 3", "i32[4] -1 3 2147483647 -2147483648"}, "{axis=0, batch=0}", "f32[4] 1 3 3 1"},
    {"scatter_add", {"f32[4] 1 2 4 8", "i32[4] 2 0 2 1"}, "{axis=0, batch=0}", "f32[4] 2 8 5 0"},
    {"scatter_add", {"f32[2,2] 1 2 4 8", "i32[2] 1 1"}, "{axis=0, batch=0}", "f32[3,2] 0 0 5 10 0 0"},
    {"scatter_add", {"f32[2,2] 1 2 4 8", "i32[2,2] 1 1 0 2"}, "{axis=1, batch=1}", "f32[2,3] 0 3 0 4 0 8"},
    {"scatter_add", {"i32[3] 1 2 4", "i32[3] -5 7 1"}, "{axis=0, batch=0}", "i32[3] 1 4 2"},

    {"reduce_sum", {"f32[2,3] 1 2 3 4 5 6"}, "{axes=[0]}", "f32[3] 5 7 9"},
    {"reduce_sum", {"f32[2,3] 1 2 3 4 5 6"}, "{axes=[1]}", "f32[2] 6 15"},
    {"reduce_sum", {"f32[2,3] 1 2 3 4 5 6"}, "{axes=[1,0]}", "f32[] 21"},
    {"reduce_sum", {"f32[2,2,2] 1 2 3 4 5 6 7 8"}, "{axes=[0,2]}", "f32[2] 14 22"},
    {"reduce_sum", {"f32[2,1] 1 nan"}, "{axes=[1]}", "f32[2] 1 nan"},
    {"reduce_sum", {"f32[] 3"}, "{axes=[]}", "f32[] 3"},
    {"reduce_sum", {"f32[20] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"}, "{axes=[0]}", "f32[] 210"},
    {"reduce_sum", {"i32[3] 2147483647 2 -5"}, "{axes=[0]}", "i32[] 2147483644"},
    {"reduce_sum", {"i32[2] 2147483647 2"}, "{axes=[0]}", "i32[] -2147483647"},
    {"reduce_logsumexp", {"f32[3,2] -inf -inf 3 -inf -800 nan"}, "{axes=[1]}", "f32[3] -inf 3 nan"},
    {"reduce_logsumexp", {"f32[2,2] 900 -inf 0 7"}, "{axes=[0]}", "f32[2] 900 7"},
    {"reduce_variation", {"f32[2,3] 1 5 3 4 2 6"}, "{axes=[0]}", "f32[3] 4.5 4.5 4.5"},
    {"reduce_variation", {"f32[3,3] 1 5 3 7 7 7 0 nan 1"}, "{axes=[1]}", "f32[3] 8 0 nan"},
    {"reduce_variation", {"f32[20] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20"}, "{axes=[0]}", "f32[] 665"},
    {"reduce_variation", {"f32[2] 3 4"}, "{axes=[]}", "f32[2] 0 0"},
    {"reduce_variation", {"f32[] 3"}, "{axes=[]}", "f32[] 0"},
    {"reduce_max", {"f32[2,3] 1 5 3 4 2 6"}, "{axes=[0]}", "f32[3] 4 5 6"},
    {"reduce_max", {"f32[2,3] 1 5 3 -4 -2 -6"}, "{axes=[1]}", "f32[2] 5 -2"},
    {"reduce_max", {"f32[4,3] nan 1 2 1 nan 2 1 2 nan -inf -inf -inf"}, "{axes=[1]}", "f32[4] nan nan nan -inf"},
    {"reduce_max", {"f32[3,3] nan 1 2 1 nan 2 1 2 -inf"}, "{axes=[0]}", "f32[3] nan nan 2"},
    {"reduce_max", {"f32[20] 1 2 3 4 5 6 nan 8 9 10 11 12 13 14 15 16 17 18 19 20"}, "{axes=[0]}", "f32[] nan"},
    {"reduce_max", {"f32[20] 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 nan 20"}, "{axes=[0]}", "f32[] nan"},
    {"reduce_max", {"f32[19] 1 2 3 4 50 6 7 8 9 10 11 12 13 14 15 16 17 18 19"}, "{axes=[0]}", "f32[] 50"},
    {"reduce_max", {"i32[2,2] -5 -2147483648 -2147483648 -2147483648"}, "{axes=[1]}", "i32[2] -5 -2147483648"},
    {"argmax", {"f32[2,3] 1 5 5 -4 -6 -4"}, "{axis=1}", "i32[2] 1 0"},
    {"argmax", {"f32[2,3] 1 5 5 -4 5 inf"}, "{axis=0}", "i32[3] 0 0 1"},
    {"argmax", {"f32[3,4] 1 nan 7 nan nan 1 2 3 -inf -inf -inf -inf"}, "{axis=1}", "i32[3] 1 0 0"},
    {"argmax", {"i32[3] 3 7 7"}, "{axis=0}", "i32[] 1"},

    {"max_pool2d", {"f32[1,1,3,3] 1 2 3 4 5 6 7 8 nan"}, "{kernel=[2,2], stride=[1,1], padding=[0,0,0,0]}",
     "f32[1,1,2,2] 5 6 8 nan"},
    {"max_pool2d", {"f32[1,1,2,2] nan 2 3 -inf"}, "{kernel=[2,1], stride=[2,1], padding=[0,0,0,0]}",
     "f32[1,1,1,2] nan 2"},
    {"max_pool2d_grad", {"f32[1,1,2,4] -inf -inf 1 nan -inf -inf nan 2", "f32[1,1,1,2] 3 5"},
     "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}", "f32[1,1,2,4] 3 0 0 5 0 0 0 0"},
    /* from PyTorch */
    {"conv2d", {"f32[2,1,3,4] ~7", "f32[2,1,2,2] ~4"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[2,2,2,3] -0.375 -0.25 0.5625 0.125 0.9375 0.375 -1.625 -0.3125 1.6875 -0.5 1.5 -2 -0.25 0.5625 0 0.9375 "
     "0.375 -0.1875 -0.3125 1.6875 -1.8125 1.5 -2 2.0625"},
    {"conv2d_input_grad", {"f32[2,2,2,3] ~5", "f32[2,1,2,2] ~4"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[2,1,3,4] -0.6875 0.625 1.6875 -1.625 0.1875 -0.3125 -1.25 2.0625 -0.625 0.875 0.9375 -0.5625 -0.375 1.6875 "
     "-2.0625 0.5 0.3125 -1.25 2.625 -1.75 1.25 0.9375 1 1.0625"},
    {"conv2d_weight_grad", {"f32[2,1,3,4] ~7", "f32[2,2,2,3] ~5"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[2,1,2,2] 0.4375 4.0625 4.625 -6.1875 2.75 -6.625 -7.25 4.6875"},
    {"conv2d", {"f32[1,2,3,3] ~7", "f32[1,2,3,3] ~4"}, "{stride=[2,2], padding=[1,1,1,1], dilation=[1,1], groups=1}",
     "f32[1,1,2,2] -2.9375 1.6875 -2.9375 -0.5"},
    {"conv2d_input_grad", {"f32[1,1,2,2] ~5", "f32[1,2,3,3] ~4"}, "{stride=[2,2], padding=[1,1,1,1], dilation=[1,1], groups=1}",
     "f32[1,2,3,3] -0.375 0.3125 0.5625 -0.875 1.0625 1 -0.5625 0.625 0.375 0.625 0.5 -0.9375 -0.4375 1.0625 -0.125 "
     "0.9375 0.4375 -0.625"},
    {"conv2d_weight_grad", {"f32[1,2,3,3] ~7", "f32[1,1,2,2] ~5"}, "{stride=[2,2], padding=[1,1,1,1], dilation=[1,1], groups=1}",
     "f32[1,2,3,3] 0.5 0.5625 -0.75 1.3125 1.0625 -1.1875 0.75 0.375 -0.5 0.125 -1.3125 -0.1875 0.375 -1 -0.25 0.1875 "
     "-1.1875 -0.125"},
    {"conv2d", {"f32[1,2,4,5] ~7", "f32[2,1,2,2] ~4"}, "{stride=[2,1], padding=[1,0,0,2], dilation=[2,3], groups=2}",
     "f32[1,2,2,4] 0.0625 1.5625 -0.9375 0.3125 -1.5625 -0.0625 0.875 -0.8125 -1 0.75 0 0 0.4375 -1 0 -0.75"},
    {"conv2d_input_grad", {"f32[1,2,2,4] ~5", "f32[2,1,2,2] ~4"}, "{stride=[2,1], padding=[1,0,0,2], dilation=[2,3], groups=2}",
     "f32[1,2,4,5] 0 0 0 0 0 1.125 -1.0625 1.5625 -1 -0.0625 0 0 0 0 0 1.25 -0.3125 1.5625 0.25 -0.0625 0 0 0 0 0 "
     "0.5625 -0.5625 0.375 -0.25 0.5 0 0 0 0 0 0 0 0 0.75 -0.75"},
    {"conv2d_weight_grad", {"f32[1,2,4,5] ~7", "f32[1,2,2,4] ~5"}, "{stride=[2,1], padding=[1,0,0,2], dilation=[2,3], groups=2}",
     "f32[2,1,2,2] -1.1875 -0.0625 -1.1875 -1.625 -0.3125 -1.3125 0.5625 -0.6875"},
    {"conv2d", {"f32[1,3,1,2] ~7", "f32[2,3,1,1] ~4"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[1,2,1,2] -0.875 -1 -0.6875 -0.875"},
    {"conv2d_input_grad", {"f32[1,2,1,2] ~5", "f32[2,3,1,1] ~4"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[1,3,1,2] 0.4375 -0.5 -0.8125 0.75 1.375 -1.4375"},
    {"conv2d_weight_grad", {"f32[1,3,1,2] ~7", "f32[1,2,1,2] ~5"}, "{stride=[1,1], padding=[0,0,0,0], dilation=[1,1], groups=1}",
     "f32[2,3,1,1] 1.1875 -0.6875 -0.5 1 -0.5625 -0.75"},
    {"max_pool2d", {"f32[1,2,4,4] ~7"}, "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}",
     "f32[1,2,2,2] 1.25 0.75 1.25 1 0.5 1.25 0.75 1"},
    {"max_pool2d_grad", {"f32[1,2,4,4] ~7", "f32[1,2,2,2] ~5"}, "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}",
     "f32[1,2,4,4] 0 -0.5 0 0 0 0 0 0.75 0 0 0 0 -0.75 0 0 0.5 0 0 0 0 0 -1 0 0.25 0 0 0 0 0 -1.25 0 0"},
    {"avg_pool2d", {"f32[1,2,4,4] ~7"}, "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}",
     "f32[1,2,2,2] 0.4375 -0.1875 0 0.0625 -0.4375 0.3125 -0.1875 -0.125"},
    {"avg_pool2d_grad", {"f32[1,2,2,2] ~5"}, "{kernel=[2,2], stride=[2,2], padding=[0,0,0,0]}",
     "f32[1,2,4,4] -0.125 -0.125 0.1875 0.1875 -0.125 -0.125 0.1875 0.1875 -0.1875 -0.1875 0.125 0.125 -0.1875 -0.1875 "
     "0.125 0.125 -0.25 -0.25 0.0625 0.0625 -0.25 -0.25 0.0625 0.0625 -0.3125 -0.3125 0 0 -0.3125 -0.3125 "
     "0 0"},
    {"max_pool2d", {"f32[1,1,5,4] ~7"}, "{kernel=[3,2], stride=[2,1], padding=[1,1,0,1]}",
     "f32[1,1,3,4] 1.25 1.25 0.75 0.75 1.25 0.5 1 1 1.25 0.75 1 1"},
    {"max_pool2d_grad", {"f32[1,1,5,4] ~7", "f32[1,1,3,4] ~5"}, "{kernel=[3,2], stride=[2,1], padding=[1,1,0,1]}",
     "f32[1,1,5,4] 0 0.25 0 0 0 0 0 -0.25 0 0 0.25 0 0.25 0 0 -0.75 0 0 -0.25 0"},
    {"avg_pool2d", {"f32[1,1,5,4] ~7"}, "{kernel=[3,2], stride=[2,1], padding=[1,1,0,1]}",
     "f32[1,1,3,4] 0.29166666666666669 0.083333333333333329 -0.125 0 0.16666666666666666 -0.375 0 0.20833333333333334 "
     "0.083333333333333329 -0.125 0.125 0.125"},
    {"avg_pool2d_grad", {"f32[1,1,3,4] ~5"}, "{kernel=[3,2], stride=[2,1], padding=[1,1,0,1]}",
     "f32[1,1,5,4] -0.083333333333333329 0.041666666666666671 0 -0.041666666666666671 -0.25 -0.083333333333333315 "
     "-0.16666666666666669 -0.25 -0.16666666666666666 -0.125 -0.16666666666666669 -0.20833333333333334 "
     "0.041666666666666685 0.041666666666666678 -0.041666666666666685 -0.125 0.20833333333333334 "
     "0.16666666666666669 0.125 0.083333333333333329"},
    {"dot", {"f32[5] ~7", "f32[5] ~4"}, "{lhs_batch=[], rhs_batch=[], lhs_contract=[0], rhs_contract=[0]}",
     "f32[] 1.5"},
    {"dot", {"f32[3,5] ~7", "f32[5,2] ~4"}, "{lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0]}",
     "f32[3,2] -1.875 -1.3125 2.75 -1.0625 1.875 -0.8125"},
    {"dot", {"f32[5,3] ~7", "f32[2,5] ~4"}, "{lhs_batch=[], rhs_batch=[], lhs_contract=[0], rhs_contract=[1]}",
     "f32[3,2] 2.375 0.75 -1 -0.8125 -0.25 -0.3125"},
    {"dot", {"f32[3,2,4] ~7", "f32[4,2,2] ~4"}, "{lhs_batch=[1], rhs_batch=[2], lhs_contract=[2], rhs_contract=[0]}",
     "f32[2,3,2] 0.625 1.125 -1.4375 1.0625 -1.4375 1 -0.6875 0.8125 -1.0625 1.0625 -2.8125 2"},
    {"dot", {"f32[2,3,4] ~7", "f32[4,3,2] ~4"}, "{lhs_batch=[], rhs_batch=[], lhs_contract=[2,1], rhs_contract=[0,1]}",
     "f32[2,2] -3.1875 1.8125 0.0625 2.6875"},
    {"dot", {"f32[3] ~7", "f32[2] ~4"}, "{lhs_batch=[], rhs_batch=[], lhs_contract=[], rhs_contract=[]}",
     "f32[3,2] 0.25 -0.25 -0.625 0.625 -0.125 0.125"},
};
/* clang-format on */
enum { CASES = sizeof cases / sizeof *cases };

/* Operations that the cases exercise in their own way, or that have a test of their own below. */
static const char *const apart[] = {"input", "output", "read", "write", "random_uniform", "random_normal", "gradient"};

static void every_operation_has_a_case(void **state) {
    (void)state;
    for (int opcode = 0; opcode < IR_OP_COUNT; opcode++) {
        const char *name = ir_op((ir_opcode)opcode)->name;
        bool found = false;
        for (int i = 0; i < CASES; i++)
            found |= strcmp(cases[i].op, name) == 0;
        for (size_t i = 0; i < sizeof apart / sizeof *apart; i++)
            found |= strcmp(apart[i], name) == 0;
        if (!found)
            fail_msg("operation '%s' has no case here", name);
    }
}

/* ---- a case's text ----------------------------------------------------------------------------------------------- */

/* "f32[2,3]" of "f32[2,3] 1 2 3 4 5 6"; returns where the elements begin. */
static const char *split_type(const char *text, char type[64]) {
    size_t length = (size_t)(strchr(text, ']') + 1 - text);
    assert_true(length < 64);
    memcpy(type, text, length);
    type[length] = 0;
    return text + length;
}

static int read_elements(const char *text, double *elements, int64_t count) {
    char type[64];
    const char *at = split_type(text, type);
    if (strchr(at, '~')) {
        int64_t step = strtol(strchr(at, '~') + 1, NULL, 10);
        for (int64_t i = 0; i < count; i++)
            elements[i] = (double)((i * step + 3) % 11 - 5) / 4;
        return (int)count;
    }
    int found = 0;
    for (; *at; found++) {
        char *end;
        assert_true(found < MAX_ELEMENTS);
        elements[found] = strtod(at, &end);
        assert_true(end != at);
        at = end;
    }
    return found;
}

static void append_function(int number, text_buffer *text) {
    const value_case *this = &cases[number];
    char type[64];
    int inputs = 0;
    text_append(text, "func @case_%d {\n", number);
    for (; inputs < MAX_INPUTS && this->inputs[inputs]; inputs++) {
        split_type(this->inputs[inputs], type);
        text_append(text, "  %%%d = input @x%d : %s\n", inputs, inputs, type);
    }
    text_append(text, "  %%%d = %s ", inputs, this->op);
    for (int i = 0; i < inputs; i++)
        text_append(text, i ? ", %%%d" : "%%%d", i);
    split_type(this->result, type);
    text_append(text, " %s : %s\n  output @result, %%%d\n}\n", this->attrs, type, inputs);
}

/* All cases as functions of one module. */
static ir_case *build_all(void) {
    text_buffer text = {0};
    text_append(&text, "module @values\n");
    for (int i = 0; i < CASES; i++)
        append_function(i, &text);
    ir_case *built = ir_case_parse("all cases", &text);
    text_free(&text);
    return built;
}

static void fill_inputs(const ir_case *built, int number, tensor_list *given) {
    for (const ir_value *value = built->module->functions[number]->first; value; value = value->next) {
        if (value->opcode != IR_OP_input)
            continue;
        const char *name = ir_symbol(value, IR_ATTR_symbol);
        double elements[MAX_ELEMENTS];
        int64_t count = ir_type_elements(&value->type);
        int found = read_elements(cases[number].inputs[name[1] - '0'], elements, count);
        if (found != count)
            fail_msg("case %d (%s): %d elements in place of %lld", number, cases[number].op, found, (long long)count);
        memcpy(tensor_add(given, false, name, &value->type), elements, (size_t)count * sizeof(double));
    }
}

static bool close(double got, double wanted, double tolerance) {
    if (isnan(wanted))
        return isnan(got);
    return got == wanted || fabs(got - wanted) <= tolerance * fabs(wanted);
}

static void check(int number, const tensor_list *results, double tolerance, const char *how) {
    double wanted[MAX_ELEMENTS];
    const tensor *result = tensor_find(results, false, "result");
    int64_t count = ir_type_elements(&result->type);
    assert_int_equal(read_elements(cases[number].result, wanted, count), count);
    for (int64_t i = 0; i < count; i++)
        if (!close(result->elements[i], wanted[i], tolerance))
            fail_msg("case %d, %s %s -> %s, %s: element %lld is %.17g", number, cases[number].op, cases[number].attrs,
                     cases[number].result, how, (long long)i, result->elements[i]);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void interpreter_gives_the_values(void **state) {
    (void)state;
    ir_case *built = build_all();
    for (int i = 0; i < CASES; i++) {
        tensor_list given = {.memory = built->memory}, results = {.memory = built->memory};
        fill_inputs(built, i, &given);
        ir_case_interpret(built, built->module->functions[i]->name, &given, &results);
        check(i, &results, 1e-15, "interpreted");
    }
    ir_case_free(built);
}

static void compiled_code_gives_the_values(const char *target_name) {
    kir_target target;
    assert_true(kir_target_named(target_name, &target));
    ir_case *built = build_all();
    const kir_program *program;
    backend_code *code = ir_case_compile(built, target_name, &target, &program);
    for (int i = 0; i < CASES; i++) {
        tensor_list given = {.memory = built->memory}, results = {.memory = built->memory};
        fill_inputs(built, i, &given);
        compiled_run(program, code, program->functions[i].name, &given, &results);
        check(i, &results, 1e-6, target_name);
    }
    backend_free(code);
    ir_case_free(built);
}

static void scalar_code_gives_the_values(void **state) {
    (void)state;
    compiled_code_gives_the_values("scalar");
}

static void vector_code_gives_the_values(void **state) {
    (void)state;
    compiled_code_gives_the_values(backend_target_host().lanes == 16 ? "avx512" : "portable");
}

/* The case's operation on constants, one for each element of the result, must fold to the element or stay. */
static void check_folding(int number) {
    const value_case *this = &cases[number];
    double operands[MAX_INPUTS][MAX_ELEMENTS], wanted[MAX_ELEMENTS];
    char type[64];
    int64_t count = read_elements(this->result, wanted, MAX_ELEMENTS);
    for (int64_t e = 0; e < count; e++) {
        text_buffer text = {0};
        text_append(&text, "module @fold\nfunc @fold {\n");
        int inputs = 0;
        for (; inputs < MAX_INPUTS && this->inputs[inputs]; inputs++) {
            read_elements(this->inputs[inputs], operands[inputs], count);
            split_type(this->inputs[inputs], type);
            text_append(&text, "  %%%d = constant {value=", inputs);
            text_append_number(&text, operands[inputs][e]);
            text_append(&text, "} : %.*s[]\n", (int)strcspn(type, "["), type);
        }
        text_append(&text, "  %%%d = %s ", inputs, this->op);
        for (int i = 0; i < inputs; i++)
            text_append(&text, i ? ", %%%d" : "%%%d", i);
        split_type(this->result, type);
        text_append(&text, " : %.*s[]\n  output @result, %%%d\n}\n", (int)strcspn(type, "["), type, inputs);
        ir_case *built = ir_case_parse(this->op, &text);
        ir_case_pass(built, this->op, "canonicalize");
        tensor_list given = {.memory = built->memory}, results = {.memory = built->memory};
        ir_case_interpret(built, "fold", &given, &results);
        double got = *tensor_elements(&results, false, "result");
        if (!close(got, wanted[e], 1e-7))
            fail_msg("case %d (%s): element %lld folds to %.17g in place of %.17g", number, this->op, (long long)e, got,
                     wanted[e]);
        ir_case_free(built);
        text_free(&text);
    }
}

static void folded_constants_are_the_values(void **state) {
    (void)state;
    for (int i = 0; i < CASES; i++)
        if (ir_op(ir_op_find(cases[i].op))->class_ == IR_CLASS_ELEMENTWISE)
            check_folding(i);
}

/* One function a way in which an update done in place would be read too early; `wanted` after each. States start as 1,
 * 2, 3, ... and, the second one, 10, 20, 30, ... */
static const struct {
    const char *types[2], *body;
    double wanted[2][4];
} state_cases[] = {
    {{"f32[2]", "f32[2]"},
     "%0 = read @a : f32[2]  write @b, %0  %1 = read @b : f32[2]  %2 = add %0, %1 : f32[2]  write @a, %2"
     " %3 = read @b : f32[2]  %4 = neg %3 : f32[2]  output @old, %4",
     {{11, 22}, {1, 2}}},
    {{"f32[2,2]", "f32[2]"},
     "%0 = read @a : f32[2,2]  %1 = transpose %0 {axes=[1,0]} : f32[2,2]  %2 = add %0, %1 : f32[2,2]  write @a, %2",
     {{2, 5, 5, 8}, {10, 20}}},
    {{"f32[4]", "f32[2]"},
     "%0 = read @a : f32[4]  %1 = slice %0 {start=[0], limit=[1], stride=[1]} : f32[1]  %2 = reshape %1 : f32[]"
     "%3 = broadcast %2 {axes=[]} : f32[4]  %4 = add %0, %3 : f32[4]  write @a, %4",
     {{2, 3, 4, 5}, {10, 20}}},
    {{"f32[1,2]", "f32[2,1]"},
     "%0 = read @a : f32[1,2]  %1 = add %0, %0 : f32[1,2]  write @a, %1"
     "%2 = transpose %0 {axes=[1,0]} : f32[2,1]  %3 = read @b : f32[2,1]  %4 = add %2, %3 : f32[2,1]  write @b, %4",
     {{2, 4}, {11, 22}}},
    {{"f32[3]", "f32[3]"},
     "%0 = read @a : f32[3]  %1 = read @b : f32[3]  %2 = add %0, %1 : f32[3]  %3 = sub %1, %0 : f32[3]"
     "write @a, %2  write @b, %3",
     {{11, 22, 33}, {9, 18, 27}}},
};

/* Reads give what a state held when the function started, wherever the write stands. */
static void writes_take_effect_at_the_end(void **state) {
    (void)state;
    kir_target target;
    kir_target_named("scalar", &target);
    for (size_t c = 0; c < 2 * sizeof state_cases / sizeof *state_cases; c++) {
        text_buffer text = {0};
        text_append(&text, "module @states\nstate @a : %s role=param\nstate @b : %s role=ema\nfunc @f {%s}\n",
                    state_cases[c / 2].types[0], state_cases[c / 2].types[1], state_cases[c / 2].body);
        ir_case *built = ir_case_parse("states", &text);
        tensor_list given = {.memory = built->memory}, results = {.memory = built->memory};
        for (int s = 0; s < 2; s++) {
            const ir_type *type = &built->module->states[s].type;
            double *elements = tensor_add(&given, true, s ? "b" : "a", type);
            for (int i = 0; i < ir_type_elements(type); i++)
                elements[i] = (s ? 10 : 1) * (i + 1);
            memcpy(tensor_add(&results, true, s ? "b" : "a", type), elements,
                   (size_t)ir_type_elements(type) * sizeof *elements);
        }
        if (c % 2) {
            const kir_program *program;
            backend_code *code = ir_case_compile(built, "states", &target, &program);
            compiled_run(program, code, "f", &given, &results);
            backend_free(code);
        } else {
            ir_case_interpret(built, "f", &given, &results);
        }
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < ir_type_elements(&built->module->states[s].type); i++)
                if (tensor_elements(&results, true, s ? "b" : "a")[i] != state_cases[c / 2].wanted[s][i])
                    fail_msg("case %d, %s: element %d of state %c is %g", (int)c / 2,
                             c % 2 ? "compiled" : "interpreted", i, s ? 'b' : 'a',
                             tensor_elements(&results, true, s ? "b" : "a")[i]);
        const tensor *old = tensor_find(&results, false, "old");
        if (old)
            assert_true(old->elements[0] == -10 && old->elements[1] == -20);
        ir_case_free(built);
        text_free(&text);
    }
}

/* The numbers are the runtime's own, by (seed, step, stream, row-major index). */
static void random_numbers_are_the_runtimes(void **state) {
    (void)state;
    text_buffer text = {0};
    text_append(&text, "module @random\nfunc @draw {\n"
                       "  %%0 = input @seed : i32[]\n  %%1 = input @step : i32[]\n"
                       "  %%2 = random_uniform %%0, %%1 {stream=3} : f32[5,3]\n  output @uniform, %%2\n"
                       "  %%3 = random_normal %%0, %%1 {stream=4} : f32[15]\n  output @normal, %%3\n}\n");
    for (int compiled = 0; compiled < 2; compiled++) {
        ir_case *built = ir_case_parse("random", &text);
        tensor_list given = {.memory = built->memory}, results = {.memory = built->memory};
        ir_type scalar = ir_type_scalar(IR_I32);
        *tensor_add(&given, false, "seed", &scalar) = -5;
        *tensor_add(&given, false, "step", &scalar) = 77;
        kir_target target;
        kir_target_named("scalar", &target);
        if (compiled) {
            const kir_program *program;
            backend_code *code = ir_case_compile(built, "random", &target, &program);
            compiled_run(program, code, "draw", &given, &results);
            backend_free(code);
        } else {
            ir_case_interpret(built, "draw", &given, &results);
        }
        for (int i = 0; i < 15; i++) {
            assert_true(tensor_elements(&results, false, "uniform")[i] == (double)rt_random_uniform(-5, 77, 3, i));
            assert_true(tensor_elements(&results, false, "normal")[i] == (double)rt_random_normal(-5, 77, 4, i));
        }
        ir_case_free(built);
    }
    text_free(&text);
}

static void gradients_are_refused(void **state) {
    (void)state;
    text_buffer text = {0};
    text_append(&text, "module @g\nfunc @g {\n  %%0 = input @x : f32[]\n  %%1 = gradient %%0, %%0 : f32[]\n"
                       "  output @y, %%1\n}\n");
    ir_case *built = ir_case_parse("gradient", &text);
    tensor_list none = {.memory = built->memory};
    interp_io io = {&none, tensor_get, tensor_put};
    assert_false(interp_run(built->module->functions[0], &io, &built->diags));
    assert_int_equal(built->diags.error_count, 1);
    ir_case_free(built);
    text_free(&text);
}

/* What no operation can compute is an error of the shape rules, not of a later pass. */
static void wrong_types_are_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "%1 = neg %0 : bool[3]",
        "%1 = sign %0 : bool[3]",
        "%1 = equal %0, %0 : bool[3]",
        "%1 = argmax %0 {axis=0} : i32[]",
        "%1 = reduce_sum %0 {axes=[0]} : bool[]",
        "%1 = constant {value=0.5} : i32[]",
        "%1 = constant {value=3e9} : i32[]",
        "%1 = constant {value=2} : bool[]",
        "%1 = iota {axis=0} : bool[3]",
        "%1 = pad %0 {low=[1], high=[0], interior=[0], value=2} : bool[4]",
        /* sizes whose products do not fit 64 bits */
        ("%1 = constant {value=0} : f32[1,1,8,8] %2 = constant {value=0} : f32[1,1,1099511627776,1]"
         "%3 = conv2d %1, %2 {stride=[1,1], padding=[0,0,0,0], dilation=[1073741823,1], groups=1} : f32[1,1,1,8]"),
        "%1 = constant {value=0} : f32[1048576,1048576,1048576,1048576]",
        "%1 = pad %0 {low=[9223372036854775807], high=[9223372036854775807], interior=[0], value=0} : bool[1]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        text_buffer text = {0};
        text_append(&text, "module @wrong\nfunc @f {\n  %%0 = input @x : bool[3]\n  %s\n}\n", wrong[i]);
        ir_case *built = ir_case_new();
        if (ir_parse(built->memory, &built->diags, "wrong.ir", text.data, text.length))
            fail_msg("accepted: %s", wrong[i]);
        ir_case_free(built);
        text_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_has_a_case),      cmocka_unit_test(interpreter_gives_the_values),
        cmocka_unit_test(scalar_code_gives_the_values),    cmocka_unit_test(vector_code_gives_the_values),
        cmocka_unit_test(folded_constants_are_the_values), cmocka_unit_test(writes_take_effect_at_the_end),
        cmocka_unit_test(random_numbers_are_the_runtimes), cmocka_unit_test(gradients_are_refused),
        cmocka_unit_test(wrong_types_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
