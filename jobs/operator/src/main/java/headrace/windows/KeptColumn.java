package headrace.windows;

/**
 * A column whose values are kept for the functions of one kind.
 *
 * @param aggregation the kind
 * @param column the index into {@link Stage#values}
 */
record KeptColumn(Aggregation aggregation, int column, Value value) {
    Multiset newValues() {
        return aggregation.values(value);
    }

    boolean hasTwoWords() {
        return value.words() > 1;
    }
}
