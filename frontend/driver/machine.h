/* The machine that measurements run on: its name, and what it can do at most, measured. */
#ifndef FRONTEND_DRIVER_MACHINE_H
#define FRONTEND_DRIVER_MACHINE_H

#include "frontend/driver/driver.h"

typedef struct {
    double flops;       /* multiplications and additions a second, with vectors in registers */
    double pair_flops;  /* of bf16 numbers in pairs, in registers; 0 where the target has no instructions for them */
    double read, write; /* bytes a second, of memory that no cache holds */
} machine_peaks;

/* The processor's name; "unknown" where the system does not tell. */
const char *machine_processor(arena *memory);
/* What all threads together reach with the target's vectors; 0 after an error. */
double machine_peak_flops(driver_session *work, int threads);
/* The same of products in so many bf16 parts of each number (kir_precisions), several of which count as one; 0 where
 * the target has no units for them. */
double machine_peak_pairs(driver_session *work, int threads, int parts);
/* The peaks of both and the two directions of memory; false after an error. Takes half a second and 256 MB. */
bool machine_measure(driver_session *work, int threads, machine_peaks *peaks);

/* The shortest time, in seconds, in which the machine could do the work: whichever binds. Each multiplication takes
 * `products` of bf16 numbers in pairs; 0: it is one of f32. */
double machine_shortest(const machine_peaks *peaks, double flops, int products, double bytes_read,
                        double bytes_written);

#endif
