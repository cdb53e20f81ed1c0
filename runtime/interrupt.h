/* Ctrl-C as a request to finish in order. */
#ifndef RT_INTERRUPT_H
#define RT_INTERRUPT_H

/* From now on the first SIGINT or SIGTERM sets a flag, and a second one ends the process at once. */
void rt_interrupt_catch(void);

/* Gives the signals their former meaning back and clears the flag. */
void rt_interrupt_release(void);

/* `path` is a file in the making, useless before it is renamed: the signal that ends the process removes it. Of more
 * than 4 at a time, or of a path of PATH_MAX bytes or more, it would stay. Files are opened and finished by one thread
 * at a time. */
void rt_interrupt_removes(const char *path);

/* The file is finished or gone. */
void rt_interrupt_keeps(const char *path);

/* True once a signal has come since rt_interrupt_catch. */
int rt_interrupted(void);

#endif
