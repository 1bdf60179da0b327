/* error: OpenSSL's queue of errors as text in our log. */
#include "tls/session.h"

/* As nginx prints them: the code's own text, then its data. */
static void add_errors(struct build *b)
{
    unsigned long e;
    const char *data;
    int flags;
    bool any = false;
    while ((e = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        char room[256];
        ERR_error_string_n(e, room, sizeof(room));
        build_c(b, any ? " " : " (SSL: ");
        build_c(b, room);
        if (*data && (flags & ERR_TXT_STRING)) {
            build_char(b, ':');
            build_escaped(b, text_c(data));
        }
        any = true;
    }
    if (any) build_char(b, ')');
}

void tls_log(const struct log *log, enum log_level level, const struct log_about *about, int err, const char *fmt, ...)
{
    char room[LOG_LINE_MAX];
    struct build b = build_in_room(room, sizeof(room));
    va_list args;
    if (log->level < level) {
        ERR_clear_error();
        return;
    }
    va_start(args, fmt);
    build_vfmt(&b, fmt, args);
    va_end(args);
    add_errors(&b);
    struct text line = build_done(&b);
    log_line(log, level, about, err, "%.*s", TEXT_ARG(line));
    ERR_clear_error();
}
