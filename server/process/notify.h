/* notify: tells systemd where we are: sd_notify(3)'s protocol, without its library. Nothing is sent where nobody asked for it. */
#ifndef PROCESS_NOTIFY_H
#define PROCESS_NOTIFY_H

#include "base/text.h"

/* Once, early: keeps NOTIFY_SOCKET's address. */
void notify_open(void);
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
/* Another process is the main one from now on. */
void notify_main_pid(pid_t pid);

#endif
