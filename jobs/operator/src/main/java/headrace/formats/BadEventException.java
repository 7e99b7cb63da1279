package headrace.formats;

/** Why an event cannot be used. */
final class BadEventException extends Exception {
    private static final long serialVersionUID = 1L;

    final String reason;

    /**
     * @param reason one of the reasons of the dead-letter message
     * @param detail one line for a person
     */
    BadEventException(String reason, String detail) {
        super(detail, null, false, false); // no stack trace: bad input is no fault of the program
        this.reason = reason;
    }
}
