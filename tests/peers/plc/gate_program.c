/* The PLC's side of gate.kind = "plc": the structured text of docs/plc-gate.md, step by step, and ways to get it wrong.
 *
 * One call is one scan. `line` is the line's block as the last request left it, `shown` the PLC's block. Registers are in
 * host order: the wire is somebody else's business.
 */
#include "gate_program.h"

#include <string.h>

static int line_lives(struct program *plc, uint32_t now) {
    const uint16_t *line = plc->line;
    if (line[LINE_HEARTBEAT] != plc->last_beat) {
        plc->last_beat = line[LINE_HEARTBEAT];
        plc->beat_at = now;
        plc->beat_seen = 1;
    }
    if (plc->mistake == DEAF_TO_HEARTBEAT)
        return 1;
    return plc->beat_seen && now - plc->beat_at <= plc->heartbeat_ms;
}

/* 1. Who speaks: words count only in a conversation that began with a greeting. */
static void converse(struct program *plc, uint32_t now) {
    uint16_t session = plc->line[LINE_SESSION];
    if (plc->mistake == TAKES_ANY_SESSION) {
        plc->session = session;
        plc->greeted = 1;
    } else if (!line_lives(plc, now)) {
        plc->greeted = 0;
        plc->session = 0;
    } else if (session == HELLO) {
        plc->greeted = 1;
        plc->session = HELLO;
        plc->error = 0;
    } else {
        plc->session = plc->greeted ? session : 0;
    }
}

static void born(struct program *plc, uint32_t now, uint32_t position) {
    plc->newest = plc->newest % 65535 + 1;
    struct part *part = &plc->parts[plc->newest % SLOTS];
    memset(part, 0, sizeof *part);
    part->edge = plc->newest;
    part->born = now;
    part->born_at = position;
    plc->waiting++;
}

/* 2. Each edge of the photo-eye is a part, with the next number. */
static void see(struct program *plc, uint32_t now, uint32_t position, int eye) {
    int rising = eye && !plc->eye;
    plc->eye = eye;
    if (!rising)
        return;
    plc->edges++;
    if (plc->mistake == MISSES_AN_EDGE && plc->edges % 10 == 0)
        return;
    if (plc->overrun || plc->waiting == MAX_LIVE) {
        plc->overrun = 1;
        plc->overrun_at = position;
        plc->waiting = 0;
        plc->greeted = 0;
        plc->session = 0;
        plc->error = 1;
        return;
    }
    born(plc, now, position);
    if (plc->mistake == COUNTS_AN_EDGE_TWICE && plc->edges % 10 == 0)
        born(plc, now, position);
}

static int passes(struct program *plc, struct part *part) {
    uint16_t number = part->edge;
    if (plc->mistake == TAKES_THE_NEXT_WORD)
        number = number % 65535 + 1;
    const uint16_t *word = plc->line + LINE_WORDS + number % SLOTS * WORD_SIZE;
    int valid = plc->greeted && plc->session == plc->line[LINE_SESSION] && plc->session != 0 && plc->session != HELLO;
    int mine = word[WORD_EDGE] == number;
    if (plc->mistake == BELIEVES_ANY_WORD)
        mine = word[WORD_EDGE] != 0;
    if (!valid || !mine)
        return plc->mistake == PASSES_ON_SILENCE;
    part->number[0] = word[0];
    part->number[1] = word[1];
    if (plc->mistake == BELIEVES_ANY_WORD)
        return word[WORD_RELEASE] != 0;
    if (plc->mistake == TURNS_THE_WORD_ROUND)
        return word[WORD_RELEASE] != number;
    return word[WORD_RELEASE] == number;
}

/* 3. The oldest part comes to the gate: its word lets it pass, anything else rejects it. */
static void serve(struct program *plc, uint32_t now, uint32_t position) {
    uint32_t travel = plc->travel;
    if (plc->mistake == ACTS_A_PART_LATE)
        travel += plc->pitch;
    while (plc->waiting > 0) {
        uint16_t oldest = (plc->newest + 65535 - plc->waiting) % 65535 + 1;
        struct part *part = &plc->parts[oldest % SLOTS];
        if (position - part->born_at < travel)
            return;
        plc->waiting--;
        if (plc->mistake == LEAVES_ONE_OUT && oldest % 10 == 0)
            continue;
        int pass = passes(plc, part);
        part->did = pass ? 2 : 1;
        part->acted = now;
        plc->pass_until = pass ? position + plc->pulse : position;
    }
}

/* 4. What the line reads, as one picture of this scan. */
static void show(struct program *plc, uint32_t now) {
    uint16_t *shown = plc->shown;
    plc->scan++;
    shown[0] = plc->scan;
    shown[1] = plc->session;
    shown[2] = now;
    shown[3] = plc->newest;
    shown[4] = plc->error;
    for (int slot = 0; slot < SLOTS; slot++) {
        struct part *part = &plc->parts[slot];
        uint16_t *out = shown + HEAD_SIZE + slot * SEEN_SIZE;
        out[0] = part->edge;
        out[1] = part->born;
        out[2] = part->did;
        out[3] = part->number[0];
        out[4] = part->number[1];
        out[5] = part->acted;
    }
    shown[PLC_SIZE - 1] = plc->scan;
}

/* For a caller of another language, whose idea of the structure must be this one. */
int program_size(void) {
    return sizeof(struct program);
}

/* A restart: what is not retained begins anew. The line's block may be retained or not; the program does not care. */
void program_start(struct program *plc) {
    plc->greeted = plc->session = plc->newest = plc->waiting = plc->error = plc->overrun = plc->beat_seen = 0;
    plc->last_beat = plc->line[LINE_HEARTBEAT];
    plc->pass_until = 0;
    plc->passing = 0;
    memset(plc->parts, 0, sizeof plc->parts);
}

/* `now` in ms, `position` the belt's by an encoder, or `now` again. Returns whether parts pass until the next scan. */
int program_scan(struct program *plc, uint32_t now, uint32_t position, int eye) {
    converse(plc, now);
    see(plc, now, position, eye);
    serve(plc, now, position);
    if (plc->overrun && position - plc->overrun_at > plc->travel + plc->pulse)
        plc->overrun = 0;
    plc->passing = !plc->overrun && plc->pass_until != 0 && (int32_t)(plc->pass_until - position) > 0;
    show(plc, now);
    return plc->passing;
}
