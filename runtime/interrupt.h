/* Ctrl-C as a request to finish in order. */
#ifndef RT_INTERRUPT_H
#define RT_INTERRUPT_H

/* From now on the first SIGINT or SIGTERM sets a flag, and a second one ends the process at once. */
void rt_interrupt_catch(void);

/* Gives the signals their former meaning back and clears the flag. */
void rt_interrupt_release(void);

/* True once a signal has come since rt_interrupt_catch. */
int rt_interrupted(void);

#endif
