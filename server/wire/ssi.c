#include "wire/ssi.h"

enum { S_TEXT, S_BEFORE_COMMAND, S_COMMAND, S_BEFORE_NAME, S_NAME, S_BEFORE_EQUAL, S_BEFORE_VALUE, S_VALUE, S_ESCAPED, S_AFTER_VALUE,
       S_END, S_END2, S_BAD, S_BAD_END, S_BAD_END2 };

void ssi_parse_open(struct ssi_parser *s, struct pool *pool, size_t value_most)
{
    *s = (struct ssi_parser) { .pool = pool, .value_most = value_most, .value = pool_bytes(pool, value_most) };
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* What follows up to "-->" is skipped. */
static void fail(struct ssi_parser *s, const char *fault, char c, bool may_end)
{
    s->fault = fault;
    s->symbol = c;
    s->state = may_end && c == '-' ? S_BAD_END : S_BAD;
}

static void begin_name(struct ssi_parser *s, char c)
{
    if (s->count < SSI_PARAMS_MOST) s->params[s->count] = (struct ssi_param) { 0 };
    s->count++;
    s->name_room[0] = c;
    s->value_n = 0;
    if (s->count <= SSI_PARAMS_MOST) s->params[s->count - 1].name.n = 1;
    s->state = S_NAME;
}

static struct ssi_param *param_in_hand(struct ssi_parser *s)
{
    static struct ssi_param none;
    return s->count <= SSI_PARAMS_MOST ? &s->params[s->count - 1] : &none;
}

static void add_name(struct ssi_parser *s, char c)
{
    struct ssi_param *p = param_in_hand(s);
    if (p->name.n == SSI_NAME_MOST) fail(s, "too long parameter at", c, false);
    else s->name_room[p->name.n++] = c;
}

static void end_name(struct ssi_parser *s, unsigned state)
{
    struct ssi_param *p = param_in_hand(s);
    p->name = pool_text(s->pool, text_of(s->name_room, p->name.n));
    s->state = state;
}

static void add_value(struct ssi_parser *s, char c)
{
    if (s->value_n == s->value_most) fail(s, "too long value of a parameter at", c, false);
    else s->value[s->value_n++] = c;
}

static void take_value(struct ssi_parser *s, char c)
{
    if (c == s->quote) {
        param_in_hand(s)->value = pool_text(s->pool, text_of(s->value, s->value_n));
        s->state = S_AFTER_VALUE;
        return;
    }
    if (c == '\\') s->state = S_ESCAPED;      /* it stays: values are unescaped when they are used */
    add_value(s, c);
}

static void take_command(struct ssi_parser *s, char c)
{
    if (s->command.n == SSI_NAME_MOST) fail(s, "too long SSI command at", c, false);
    else s->command_room[s->command.n++] = c;
}

/* One byte within a command. */
static void take(struct ssi_parser *s, char c)
{
    bool space = is_space(c);
    switch (s->state) {
    case S_BEFORE_COMMAND:
        if (space) break;
        s->command.n = 0;
        s->count = 0;
        s->state = S_COMMAND;
        take_command(s, c);
        break;
    case S_COMMAND:
        if (space) s->state = S_BEFORE_NAME;
        else if (c == '-') s->state = S_END;
        else take_command(s, c);
        break;
    case S_BEFORE_NAME:
        if (c == '-') s->state = S_END;
        else if (!space) begin_name(s, c);
        break;
    case S_NAME:
        if (space) end_name(s, S_BEFORE_EQUAL);
        else if (c == '=') end_name(s, S_BEFORE_VALUE);
        else if (c == '-') fail(s, "after a parameter an unexpected", c, true);
        else add_name(s, c);
        break;
    case S_BEFORE_EQUAL:
        if (c == '=') s->state = S_BEFORE_VALUE;
        else if (!space) fail(s, "after a parameter an unexpected", c, true);
        break;
    case S_BEFORE_VALUE:
        if (c == '"' || c == '\'') s->quote = c, s->state = S_VALUE;
        else if (!space) fail(s, "before a value an unexpected", c, true);
        break;
    case S_VALUE:
        take_value(s, c);
        break;
    case S_ESCAPED:
        s->state = S_VALUE;
        add_value(s, c);
        break;
    case S_AFTER_VALUE:
        if (space) s->state = S_BEFORE_NAME;
        else if (c == '-') s->state = S_END;
        else fail(s, "after a value an unexpected", c, false);
        break;
    case S_END:
        if (c == '-') s->state = S_END2;
        else fail(s, "an unexpected", c, false);
        break;
    case S_END2:
        fail(s, "an unexpected", c, false);
        break;
    case S_BAD:
        if (c == '-') s->state = S_BAD_END;
        break;
    case S_BAD_END:
        s->state = c == '-' ? S_BAD_END2 : S_BAD;
        break;
    default:
        s->state = S_BAD;
    }
}

/* Text, up to what may be a command, or the part of one's beginning. */
static enum ssi_event take_text(struct ssi_parser *s, struct text t, size_t *used_out)
{
    size_t at = 0;
    if (!s->matched) {
        ssize_t first = text_find_char(t, SSI_BEGIN[0]);
        *used_out = first < 0 ? t.n : (size_t) first;
        if (*used_out) return SSI_TEXT;
    }
    while (at < t.n && s->matched < sizeof SSI_BEGIN - 1 && t.p[at] == SSI_BEGIN[s->matched]) at++, s->matched++;
    *used_out = at;
    if (s->matched == sizeof SSI_BEGIN - 1) {
        s->matched = 0;
        s->fault = NULL;
        s->state = S_BEFORE_COMMAND;
        return SSI_MORE;
    }
    return at < t.n ? SSI_SPILL : SSI_MORE;
}

enum ssi_event ssi_parse(struct ssi_parser *s, struct text t, size_t *used_out)
{
    size_t at = 0;
    while (at < t.n) {
        if (s->state == S_TEXT) {
            if (at) break;
            enum ssi_event e = take_text(s, t, &at);
            *used_out = at;
            if (e != SSI_MORE) return e;
            continue;
        }
        char c = t.p[at++];
        *used_out = at;
        if (c == '>' && (s->state == S_END2 || s->state == S_BAD_END2)) {
            bool good = s->state == S_END2;
            s->state = S_TEXT;
            s->command.p = s->command_room;
            return good ? SSI_COMMAND : SSI_BAD;
        }
        take(s, c);
    }
    *used_out = at;
    return SSI_MORE;
}
