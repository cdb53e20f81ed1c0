/* Any bytes as a picture: an error, or as many pixels as its sides say. */
#include "runtime/picture.h"

#include "input_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    rt_error error = {{0}};
    rt_image image;
    if (rt_picture_decode("picture", data, size, &image, &error)) {
        if (!error.text[0] || image.pixels)
            abort();
        return 0;
    }
    unsigned sum = 0;
    for (int64_t i = 0; i < (int64_t)image.width * image.height * 3; i++)
        sum += image.pixels[i];
    free(image.pixels);
    return sum == 1 ? 1 : 0;
}
