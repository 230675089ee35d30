"""What holds for any input whatever, tried with inputs that Hypothesis makes up."""
