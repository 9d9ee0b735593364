#ifndef GATE_PROGRAM_H
#define GATE_PROGRAM_H
#include <stdint.h>

enum {
    SLOTS = 16,
    MAX_LIVE = 14,
    HELLO = 0xFFFF,
    LINE_HEARTBEAT = 0,
    LINE_SESSION = 4,
    LINE_WORDS = 8,
    WORD_SIZE = 4,
    WORD_EDGE = 2,
    WORD_RELEASE = 3,
    LINE_SIZE = LINE_WORDS + SLOTS * WORD_SIZE,
    PLC_BASE = 80,
    HEAD_SIZE = 5,
    SEEN_SIZE = 6,
    PLC_SIZE = HEAD_SIZE + SLOTS * SEEN_SIZE + 1,
};

/* What a program can get wrong. */
enum mistake {
    NONE,
    TAKES_THE_NEXT_WORD,
    BELIEVES_ANY_WORD,
    PASSES_ON_SILENCE,
    TURNS_THE_WORD_ROUND,
    ACTS_A_PART_LATE,
    LEAVES_ONE_OUT,
    MISSES_AN_EDGE,
    COUNTS_AN_EDGE_TWICE,
    TAKES_ANY_SESSION,
    DEAF_TO_HEARTBEAT,
};

struct part {
    uint32_t born, born_at, acted;
    uint16_t edge, did, number[2];
};

struct program {
    uint32_t travel, pulse, pitch, heartbeat_ms, mistake; /* the first three in the units of the position */
    uint32_t beat_at, overrun_at, pass_until, edges;
    uint16_t line[LINE_SIZE], shown[PLC_SIZE];
    uint16_t greeted, session, newest, waiting, error, overrun, scan, eye, last_beat, beat_seen, passing;
    struct part parts[SLOTS];
};

int program_size(void);
void program_start(struct program *plc);
int program_scan(struct program *plc, uint32_t now, uint32_t position, int eye);

#endif
