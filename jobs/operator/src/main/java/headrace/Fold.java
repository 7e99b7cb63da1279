package headrace;

/**
 * What all functions of one column need, folded over the rows of a window, newest first. A value
 * comes as the 64 bits that {@link RowLog} keeps.
 */
abstract class Fold {
    long count;

    abstract void clear();

    abstract void add(long bits);

    abstract Object sum();

    abstract double mean();

    abstract Object min();

    abstract Object max();

    static Fold of(Stage.Value value) {
        return value.floating() ? new FloatFold() : new IntegerFold(value.root(), value.scale());
    }
}
