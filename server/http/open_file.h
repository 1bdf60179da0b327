/*
 * open_file: how files are opened for requests: symbolic links as disable_symlinks says, remembered by open_file_cache,
 * in a thread where "aio threads" says so. Only regular files are ever given to read from.
 */
#ifndef HTTP_OPEN_FILE_H
#define HTTP_OPEN_FILE_H

#include "base/chain.h"
#include "http/request.h"
#include "os/walk.h"
#include <dirent.h>

struct open_file {
    int                err;          /* 0, or why not */
    const char        *call;         /* what failed: "open()" */
    struct chain_file *file;         /* OPEN_READ of a regular file: one hold, the caller's */
    bool               is_file, is_folder, is_executable;
    off_t              size;
    time_t             modified;
};

enum open_want { OPEN_READ, OPEN_TEST /* what is it? */ };

/* path: full, NUL-ended, of the request's pool. v_next: *out says; v_wait: a thread is at it, the handler is to be asked again
 * (and then asks here again, for the same path). */
struct verdict open_file(struct request *r, struct text path, enum open_want want, struct open_file *out);
/* As OPEN_TEST, without a thread: for those that cannot be asked again. */
void open_file_look(struct request *r, struct text path, struct open_file *out);

/* What disable_symlinks says of path, for walk_open and walk_parent. */
struct open_links { enum walk_links how; size_t trusted; };
struct open_links open_file_links(struct request *r, struct text path);
/* The folder that r->uri, with a slash at its end, names, and its path without that slash; a reply, after a log line, when it cannot be read. */
struct verdict open_folder(struct request *r, DIR **out, const char **path_out);
/* That reply. call: what failed. */
struct verdict open_folder_refuse(struct request *r, int err, const char *call, const char *path);

/* The thread pool of "aio threads" for r, or NULL. */
struct thread_pool *open_file_threads(struct request *r);

#endif
