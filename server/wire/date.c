#include "wire/date.h"

static const char days[7][10] = { "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday" };
static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { DAY = 86400, DAYS_OF_400_YEARS = 146097, EPOCH_FROM_MARCH_0 = 719468 };

/* Days since the epoch. Years begin in March here, so that the leap day is a year's last. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned of_era = (unsigned) (year - era * 400);
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * DAYS_OF_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_FROM_MARCH_0;
}

static void civil_of(int64_t at, int *year, unsigned *month, unsigned *day)
{
    at += EPOCH_FROM_MARCH_0;
    int64_t era = (at >= 0 ? at : at - DAYS_OF_400_YEARS + 1) / DAYS_OF_400_YEARS;
    unsigned of_era = (unsigned) (at - era * DAYS_OF_400_YEARS);
    unsigned y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = (int) (y + era * 400) + (*month <= 2);
}

static unsigned days_in(unsigned month, unsigned year)
{
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2) return leap ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

struct parts { unsigned year, month, day, hour, minute, second; };

/* t against a shape: "dd" day, "@@@" month's name, "yy" or "yyyy" year, "hh", "mm", "ss" time; all else is itself. */
static bool match(struct text t, const char *shape, struct parts *out)
{
    if (t.n != strlen(shape)) return false;
    for (size_t i = 0; i < t.n; i++) {
        unsigned d = (unsigned char) t.p[i] - (unsigned) '0';
        unsigned *into;
        switch (shape[i]) {
        case 'd': into = &out->day; break;
        case 'y': into = &out->year; break;
        case 'h': into = &out->hour; break;
        case 'm': into = &out->minute; break;
        case 's': into = &out->second; break;
        case '@': {
            const char *at = memmem(months, sizeof months - 1, t.p + i, 3);
            if (at == NULL || (at - months) % 3) return false;
            out->month = (unsigned) (at - months) / 3 + 1;
            i += 2;
            continue;
        }
        default:
            if (t.p[i] != shape[i]) return false;
            continue;
        }
        if (shape[i] == 'd' && t.p[i] == ' ' && shape[i + 1] == 'd' && shape[0] == '@') d = 0;   /* asctime: " 6" */
        if (d > 9) return false;
        *into = *into * 10 + d;
    }
    return true;
}

/* A day's name, whole or of three letters, and what separates it, off the front of *t. */
static bool take_day(struct text *t, size_t n, const char *separator)
{
    for (size_t i = 0; i < countof(days); i++) {
        struct text name = text_c(days[i]);
        if (n) name = text_upto(name, n);
        if (!text_starts(*t, name) || !text_starts(text_from(*t, name.n), text_c(separator))) continue;
        *t = text_from(*t, name.n + strlen(separator));
        return true;
    }
    return false;
}

static bool match_any(struct text t, struct parts *out)
{
    struct text rest = t;
    *out = (struct parts) { 0 };
    if (take_day(&rest, 3, ", ")) return match(rest, "dd @@@ yyyy hh:mm:ss GMT", out);
    if (take_day(&rest, 3, " ")) return match(rest, "@@@ dd hh:mm:ss yyyy", out);
    if (!take_day(&rest, 0, ", ") || !match(rest, "dd-@@@-yy hh:mm:ss GMT", out)) return false;
    out->year += out->year < 70 ? 2000 : 1900;
    return true;
}

bool date_parse(struct text t, time_t *out)
{
    struct parts p;
    if (!match_any(t, &p)) return false;
    if (p.day < 1 || p.day > days_in(p.month, p.year) || p.hour > 23 || p.minute > 59 || p.second > 60) return false;
    *out = (time_t) (days_of(p.year, p.month, p.day) * DAY + p.hour * 3600 + p.minute * 60 + p.second);
    return true;
}

static char *two(char *at, unsigned v, char after)
{
    *at++ = (char) ('0' + v / 10);
    *at++ = (char) ('0' + v % 10);
    *at++ = after;
    return at;
}

struct text date_format(char room[DATE_LENGTH], time_t t)
{
    static const int64_t first = -62167219200, last = 253402300799;     /* of the years 0 and 9999 */
    int64_t at = t < first ? first : t > last ? last : t;
    int64_t day = (at >= 0 ? at : at - DAY + 1) / DAY;
    unsigned second = (unsigned) (at - day * DAY), month, of_month;
    int year;
    civil_of(day, &year, &month, &of_month);
    char *p = room;
    memcpy(p, days[((day % 7) + 11) % 7], 3);
    memcpy(p + 3, ", ", 2);
    p = two(p + 5, of_month, ' ');
    memcpy(p, months + (month - 1) * 3, 3);
    p[3] = ' ';
    p = two(p + 4, (unsigned) year / 100, ' ');
    p = two(p - 1, (unsigned) year % 100, ' ');
    p = two(p, second / 3600, ':');
    p = two(p, second / 60 % 60, ':');
    p = two(p, second % 60, ' ');
    memcpy(p, "GMT", 3);
    return text_of(room, DATE_LENGTH);
}
