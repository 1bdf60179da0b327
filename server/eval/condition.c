/* condition: a variable's truth, an equality, a regex, or a question about a file. */
#include "eval/condition.h"
#include "eval/match.h"

enum test { TEST_TRUE, TEST_EQUAL, TEST_REGEX, TEST_FILE, TEST_FOLDER, TEST_EXISTS, TEST_EXECUTABLE };

struct condition {
    enum test         test;
    bool              negative;
    unsigned          index;        /* of the variable */
    struct template  *value;        /* to compare with; path of the file */
    struct regex     *regex;
};

static conf_result invalid(struct conf *cf, struct text word) { return conf_say(cf, "!invalid condition \"%.*s\"", TEXT_ARG(word)); }

static conf_result compare(struct conf *cf, struct condition *c, struct text how, struct text with)
{
    conf_result why = NULL;
    c->negative = how.n > 1 && how.p[0] == '!';
    struct text word = c->negative ? text_from(how, 1) : how;
    if (text_eq(word, T("="))) {
        c->test = TEST_EQUAL;
        c->value = template_compile(cf, with, &why);
    } else if (text_eq(word, T("~")) || text_eq(word, T("~*"))) {
        c->test = TEST_REGEX;
        c->regex = regex_compile(cf, with, word.n == 2, &why);
    } else {
        return conf_say(cf, "!unexpected \"%.*s\" in condition", TEXT_ARG(how));
    }
    return why;
}

static conf_result about_file(struct conf *cf, struct condition *c, struct text how, struct text path)
{
    conf_result why = NULL;
    c->negative = how.p[0] == '!';
    switch (how.p[how.n - 1]) {
    case 'f': c->test = TEST_FILE; break;
    case 'd': c->test = TEST_FOLDER; break;
    case 'e': c->test = TEST_EXISTS; break;
    case 'x': c->test = TEST_EXECUTABLE; break;
    default: return invalid(cf, how);
    }
    c->value = template_compile(cf, path, &why);
    return why;
}

static conf_result read_words(struct conf *cf, struct condition *c, const struct text *words, size_t count)
{
    struct text first = words[0];
    if (first.n > 1 && first.p[0] == '$') {
        if (count != 1 && count != 3) return invalid(cf, first);
        c->index = variables_index(cf, text_from(first, 1));
        return count == 1 ? NULL : compare(cf, c, words[1], words[2]);
    }
    if ((first.n == 2 && first.p[0] == '-') || (first.n == 3 && first.p[0] == '!' && first.p[1] == '-'))
        return count == 2 ? about_file(cf, c, first, words[1]) : invalid(cf, first);
    return invalid(cf, first);
}

struct condition *condition_compile(struct conf *cf, const struct text *given, size_t count, conf_result *why)
{
    struct condition *c = pool_new(cf->pool, struct condition);
    struct text *words = pool_array(cf->pool, struct text, count + 1), *first = words, *last = words + count - 1;
    for (size_t i = 0; i < count; i++) words[i] = given[i];
    *why = !count ? "!invalid condition \"\"" : !text_starts(*first, T("(")) ? invalid(cf, *first) : !text_ends(*last, T(")")) ? invalid(cf, *last) : NULL;
    if (*why) return NULL;
    *first = text_from(*first, 1);
    *last = text_upto(*last, last->n ? last->n - 1 : 0);
    if (!first->n) first++;
    if (last > first && !last->n) last--;
    *why = first > last || !first->n ? invalid(cf, given[0]) : read_words(cf, c, first, (size_t) (last - first) + 1);
    return *why ? NULL : c;
}

static bool test_regex(const struct condition *c, struct eval *e, const struct log *told)
{
    struct text subject = value_text(eval_get(e, c->index));
    bool matched = regex_match(c->regex, subject, e);
    if (!matched && e->captures) e->captures->count = 0;
    if (told) log_at(told, L_NOTICE, e->about, 0, "\"%.*s\" %s \"%.*s\"", TEXT_ARG(regex_source(c->regex)), matched ? "matches" : "does not match", TEXT_ARG(subject));
    return matched;
}

/* As in nginx, a device or a pipe does not exist. */
static bool test_file(const struct condition *c, struct eval *e, condition_look *look)
{
    struct condition_file is = { false, false, false };
    look(e, text_c(pool_cstr(e->pool, template_render(c->value, e))), &is);
    switch (c->test) {
    case TEST_FILE: return is.is_file;
    case TEST_FOLDER: return is.is_folder;
    case TEST_EXECUTABLE: return is.is_executable;
    default: return is.is_file || is.is_folder;
    }
}

bool condition_test(const struct condition *c, struct eval *e, const struct log *told, condition_look *look)
{
    bool holds;
    switch (c->test) {
    case TEST_TRUE: return value_is_true(eval_get(e, c->index));
    case TEST_EQUAL: {
        struct text have = value_text(eval_get(e, c->index));
        holds = text_eq(have, template_render(c->value, e));
        break;
    }
    case TEST_REGEX: holds = test_regex(c, e, told); break;
    default: holds = test_file(c, e, look); break;
    }
    return holds != c->negative;
}

const struct regex *condition_regex(const struct condition *c) { return c->regex; }
