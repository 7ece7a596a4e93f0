"""Operations that wait for a person's answer: the questions, and how long an answer is valid."""
