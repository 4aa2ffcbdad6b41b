pub struct Linux;
