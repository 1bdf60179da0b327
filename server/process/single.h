/* single: master_process off: one process reads, binds and serves. For debugging. */
#ifndef PROCESS_SINGLE_H
#define PROCESS_SINGLE_H

/* cycle_current is open. Returns the exit code. */
int single_run(void);

#endif
