package headrace.windows;

/** What a window holds of one column: what functions are computed from, read from the partials that they need. */
abstract class Fold {
    final Value value;
    final long[] state;
    private final int[] slot;

    Fold(Value value, long[] state, int[] slot) {
        this.value = value;
        this.state = state;
        this.slot = slot;
    }

    /** {@code slot} is the first slot of each kind of partial in {@code state}. */
    static Fold of(Value value, long[] state, int[] slot) {
        return value.floating() ? new FloatFold(value, state, slot) : new IntegerFold(value, state, slot);
    }

    final int slot(Partial.Kind kind) {
        return slot[kind.ordinal()];
    }

    final long count() {
        return state[slot(Partial.Kind.COUNT)];
    }

    abstract Object sum();

    abstract double mean();

    /** The sum of squared distances from the mean. */
    final double distances() {
        return state[slot(Partial.Kind.LEAST)] == state[slot(Partial.Kind.MOST)] ? 0 : squaredDistances();
    }

    /** The same, of values that are not all equal. */
    abstract double squaredDistances();

    final Object least() {
        return value.typed(state[slot(Partial.Kind.LEAST)]);
    }

    final Object most() {
        return value.typed(state[slot(Partial.Kind.MOST)]);
    }

    /** The value of {@code kind}, {@code FIRST} or {@code LAST}; null where there is none. */
    final Object end(Partial.Kind kind) {
        return state[slot(kind)] == 0 ? null : value.typed(state[slot(kind) + 1]);
    }
}
