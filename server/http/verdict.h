/* verdict: what a step or a module's handler decided. The same five words everywhere. */
#ifndef HTTP_VERDICT_H
#define HTTP_VERDICT_H

struct step;

enum what {
    V_NEXT,     /* nothing to say, or done: on to what comes after */
    V_GOTO,     /* go on at another step */
    V_WAIT,     /* something is under way; whoever ends it calls request_resume, which asks this handler again */
    V_REPLY,    /* answer with this status (its error page, if any) */
    V_OVER,     /* the response is in the hands of this handler, which gives head and body through response.h */
};

struct verdict { enum what what; int status; const struct step *to; };

static inline struct verdict v_next(void)                 { return (struct verdict) { .what = V_NEXT }; }
static inline struct verdict v_goto(const struct step *s) { return (struct verdict) { .what = V_GOTO, .to = s }; }
static inline struct verdict v_wait(void)                 { return (struct verdict) { .what = V_WAIT }; }
static inline struct verdict v_reply(int status)          { return (struct verdict) { .what = V_REPLY, .status = status }; }
static inline struct verdict v_over(void)                 { return (struct verdict) { .what = V_OVER }; }

/* How a call of body ends: */
enum body_end {
    BODY_MORE,      /* more will come */
    BODY_FINAL,     /* this was all */
    BODY_BROKEN,    /* the rest will never come: the other side must be able to tell */
};

#endif
