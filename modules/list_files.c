/* list_files: lists that stand in files (of domain names, of addresses) are read before the workers begin, and again when they change. */
#include "modules/module.h"
#include "eval/list_file.h"
#include "event/thread.h"
#include "process/cycle.h"

enum { LISTS_MOST = 1024 };

static bool open_all(struct cycle *c)
{
    (void) c;
    return list_files_load_all();
}

/* A million lines take most of a second: the loop of the process does not wait for them. */
static void read_list(struct thread_job *j)
{
    if (thread_post(thread_pool_get(T(" lists"), 1, LISTS_MOST), j)) return;
    j->work(j);
    j->done(j);
}

static void look(struct cycle *c)
{
    (void) c;
    if (process_kind != PROCESS_WORKER) list_files_look(read_list);
}

static const struct process_part process = { .open = open_all, .second = look };
struct module list_files_module = { .name = "list_files", .part = &process, .part_kind = &process_part_kind };
