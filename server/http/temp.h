/* temp: temporary files under a *_temp_path folder and its levels ("/path 1 2" gives /path/7/45/0000000457). */
#ifndef HTTP_TEMP_H
#define HTTP_TEMP_H

#include "base/chain.h"
#include "config/conf.h"
#include "process/cycle.h"

struct temp_path { struct text path; uint8_t level[3]; };

/* "path [level1 [level2 [level3]]]" into a struct temp_path; the folder is then made by temp_folders_make. */
extern const struct conf_type temp_path_type;
/* In the master, when a configuration is opened: the folders of all paths read. False after a log line. */
bool temp_folders_make(struct cycle *c);
/* A new configuration begins to be read: forgets the folders of the one before. */
void temp_forget(void);
/* A new file, open for reading and writing, its name in p. keep: it stays when closed; else it is unlinked at once (its
 * name is told all the same). NULL after a log line. */
struct chain_file *temp_open(const struct temp_path *t, bool keep, struct pool *p, const struct log *log, const struct log_about *about, struct text *name_out);
/* Moves all memory bytes of in to the end of the file (whose length is at), and adds the file ranges to out. False after a log line. */
bool temp_write(struct chain_file *f, off_t at, struct chain *in, struct chain *out, const struct log *log, const struct log_about *about);

#endif
