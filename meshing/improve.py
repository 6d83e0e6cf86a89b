def improve(p,t,ph,e): return p,t,ph
