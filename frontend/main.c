/* cslc: the compiler's commands. */
#include "frontend/driver/driver.h"

#include "runtime/blas.h"
#include "runtime/output_file.h"

#include <limits.h>

/* The first is the one without a name. */
const driver_command driver_commands[] = {
    {"compile", "SPEC [options] -o PROGRAM", "compile to an executable, or with --emit=KIND print a stage", NULL, 1, 1,
     driver_build},
    {"run", "run SPEC [options] -- ARGUMENTS", "compile in memory and run its command line", NULL, 1, 1, driver_run},
    {"explain", "explain SPEC [options]", "the components, layers, scores and needs of a method",
     "\nThe five components with their lines of the spec; the layers with their output shapes, parameters and\n"
     "multiply-adds an image (xN: applied N times in a step); batch, views, score matrices and the negatives of\n"
     "an anchor (counted in rows spread over large matrices); planned memory, kernels and fused groups.\n"
     "Layers are taken together where a screen would not hold them; --layers and --json show each.\n",
     1, 1, driver_explain},
    {"diff", "diff SPEC [SPEC] [options]", "where two methods, or two settings of one, differ",
     "\nComponent by component: augmentations in their order, modules of the encoder, what is extracted and compared,\n"
     "similarity, temperature, masks, loss, training. Compared is what the specs evaluate to, with parameters and\n"
     "sizes as numbers and N for the batch, not how they say it. Between the sides stands = for the same,\n"
     "| for another, < and > for what one side alone has. With one SPEC, --left and --right tell its sides apart.\n",
     1, 2, driver_diff},
    {"sweep", "sweep SPEC… --vary NAME=A,B -- train …", "train and evaluate under all combinations of settings",
     "\nOne run for each SPEC and each combination of the values of --vary, everything between commas outside of\n"
     "brackets being a value. Each is compiled, trained and evaluated by its evaluate section in a process and a "
     "folder\n"
     "of its own. Called again, the same sweep goes on: runs that are done stay, those that were cut off continue\n"
     "from their checkpoint, those that failed are tried again. A run that fails stops no other one; a second folder\n"
     "is wanted for other settings. Results: table.md, table.csv and plot.svg; of each run log.txt, metrics.jsonl and\n"
     "last.safetensors. Ends with status 1 when a run failed.\n"
     "\n  cslc sweep mine.csl --vary encoder=resnet18,resnet34 --vary temperature=0.1,0.5 --out study \\\n"
     "      -- train --data cifar-10-binary.tar.gz --epochs 20\n",
     1, 100, driver_sweep},
    {"bench", "bench SPEC [options]", "fused scores against the same scores stored",
     "\nEach group of scores that fuse-contrastive fuses, forward and with gradients, by itself on random vectors: "
     "fused,\n"
     "and with the pass off (products by OpenBLAS, everything between them fused), taking turns in one run.\n"
     "GFLOP/s count the products that were executed, of symmetric scores half of them.\n"
     "With --plot the spec's parameter n doubles from 64 on, up to the n of -D if that is given; a side is measured "
     "as\n"
     "long as its next run may be expected to take less than 5 seconds and half of the memory.\n",
     1, 1, driver_bench},
    {"profile", "profile SPEC [options]", "which kernels, lines and components take a step's time",
     "\nTraining steps on one batch after the other, nothing running beside them: the time of every kernel, the\n"
     "arithmetic and memory traffic that its shapes ask for, and the share of the machine's peak, which is measured\n"
     "first. The peak is that of the units, vectors' or, of products in pairs, the matrix units', or the memory's,\n"
     "whichever binds; above 100 % what is read or written was in a cache. 'train --profile FILE.json' of a program "
     "shows the same launches in time.\n",
     1, 1, driver_profile},
    {"cache", "cache [--clear]", "the object code that is kept between compilations",
     "\nLLVM's object code of kernels is kept on disk, so that a compilation makes only what is new: in the folder "
     "that\n"
     "CSLC_CACHE names, else cslc in XDG_CACHE_HOME or in ~/.cache. An empty CSLC_CACHE, or --no-cache, keeps none.\n"
     "What was longest unused goes when all of it passes 256 MiB; any file of the folder may be removed at any time.\n",
     0, 0, driver_cache},
    {"opt", "opt --passes=A,B FILE [-o FILE]", "read IR, run passes, print it", NULL, 1, 1, driver_opt},
};
const int driver_command_count = sizeof driver_commands / sizeof *driver_commands;

static int unknown_target(const char *name) {
    static const char *const names[] = {"native",   "amx",    "avx512-bf16", "avx512",    "avx2",
                                        "portable", "scalar", "x86-64",      "x86-64-v3", "x86-64-v4"};
    return driver_usage_error("no target '%s'", name, diag_suggest(name, names, sizeof names / sizeof *names));
}

int main(int count, char **arguments) {
    rt_blas_choose(arguments);
    rt_fill_standard_streams();
    driver_options options = {.memory = arena_new()};
    driver_session work;
    int status = options.memory ? driver_parse(&options, count, arguments) : STATUS_FAILED;
    if (status < 0)
        status = driver_check_passes(&options);
    if (status < 0 && driver_begin(&work, &options)) {
        if (options.target && !backend_target_named(options.target, &work.passes.target))
            status = unknown_target(options.target);
        else if ((status = driver_check_precision(&options)) < 0 && (status = driver_choose_memory_limit(&work)) < 0)
            status = options.command->run(&work);
        status = driver_end(&work, status);
    }
    if (options.memory)
        arena_free(options.memory);
    return driver_finish(status < 0 ? STATUS_FAILED : status);
}
